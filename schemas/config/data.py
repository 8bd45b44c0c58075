"""Section ``data`` of the configuration: one model per kind of data."""

import codecs
from typing import Annotated, Literal

import pydantic
from pydantic import AfterValidator, BeforeValidator, Field, PositiveInt

from diptych.schemas.config.colour import Colour
from diptych.schemas.config.section import Proportion, Section

ColumnChoice = str | list[str] | PositiveInt
"""Columns by name (``embedding``), by prefix (``pixel_*``), as a list, or as a number."""

LevelRole = Literal["label", "group", "split", "ignore"]
"""Role of a folder level: what its name states about the images in it."""


def _read_tab(value: object) -> object:
    """Read a tab that YAML has not expanded because it is in single quotes."""
    return "\t" if value == "\\t" else value


def check_encoding_name(value: str | None) -> str | None:
    """Return the name of an encoding of text unchanged, or raise a ValueError."""
    try:
        if codecs.lookup(value or "utf-8").name == "punycode":  # an encoding of names
            raise LookupError(value)
        "x".encode(value or "utf-8")
        codecs.getincrementaldecoder(value or "utf-8")("replace").decode(b"x")
    # Also for codecs that are not encodings of files, such as hex and idna.
    except (LookupError, UnicodeError) as error:
        raise ValueError(
            f"unknown encoding {value!r}: name one such as utf-8, cp1252, cp1251 or shift_jis"
        ) from error
    return value


def _check_delimiter(value: str) -> str:
    if not value.isascii() or value in '"\r\n\0':
        raise ValueError(
            f"cannot be {value!r}: name one ASCII character other than a quote or a line break"
        )
    return value


_Path = Annotated[
    str,
    Field(
        description="File, folder or pattern such as data/*.parquet. Data that grow in spans have "
        "a pattern such as data/span-{YYYY}-{MM}-{DD} or data/span-{SPAN}/v{VERSION}."
    ),
]
_Window = Annotated[
    PositiveInt | None,
    Field(description="Number of newest spans to use. null: all spans."),
]
_Size = Annotated[
    tuple[PositiveInt, PositiveInt],
    Field(description="Height and width in pixels to which images are resized."),
]
_Channels = Annotated[Literal[1, 3], Field(description="Colour channels: 1 (grey) or 3 (RGB).")]
_MaxBytes = Annotated[
    PositiveInt, Field(description="Maximum size of an image in bytes; larger ones are rejected.")
]
_MaxPixels = Annotated[
    PositiveInt,
    Field(
        description="Maximum height x width of an image; larger ones are rejected. The size is "
        "read from the header before the image is decoded."
    ),
]
_Background = Annotated[
    Colour,
    Field(
        description="Colour behind transparent pixels of images: a name such as white or black, or "
        'a hexadecimal colour in quotes, such as "#808080".'
    ),
]
_FollowLinks = Annotated[
    str | None,
    Field(
        description="Folder in which the targets of symbolic links may be, such as a cache of DVC, "
        "git-annex or Hugging Face. null: links out of the data folder are rejected."
    ),
]
_MaxRejected = Annotated[
    Proportion,
    Field(description="Fraction of rejected rows or images above which the run stops."),
]
_Id = Annotated[
    str | None,
    Field(description="Column with a unique key. null: ids are hashes of the content."),
]
_Time = Annotated[
    str | None,
    Field(
        description="Column with a number, date or timestamp, for `split.by: time`. null: the span."
    ),
]
_MaxConflicts = Annotated[
    Proportion,
    Field(
        description="Fraction of examples with conflicting labels (the same content has several) "
        "above which the run stops. Up to it, they are rejected."
    ),
]
_Corrections = Annotated[
    str | None,
    Field(
        description="CSV file with columns source or id, and label: examples to relabel. An empty "
        "label, or the label remove, removes the example."
    ),
]
_Group = Annotated[
    str | None,
    Field(description="Column with a group such as the writer or patient, for `split.by: group`."),
]
_Split = Annotated[
    str | None,
    Field(
        description="Column with the split: train, val or calibration, and test; for "
        "`split.by: given`. null: the names of the files or their folders state it, such as "
        "train-00000.parquet and test-00000.parquet."
    ),
]
# The format of CSV files. All kinds of data that read tables have these keys.
_Encoding = Annotated[
    str | None,
    AfterValidator(check_encoding_name),
    Field(
        description="Encoding of CSV files such as cp1252 or shift_jis. null: UTF-8, or UTF-16 and "
        "UTF-32 with a byte order mark."
    ),
]
_Delimiter = Annotated[
    Annotated[str, Field(min_length=1, max_length=1), AfterValidator(_check_delimiter)] | None,
    BeforeValidator(_read_tab),
    Field(
        description="Delimiter of CSV files. null: the one of , ; | and tab that divides all rows "
        "into the same number of fields.",
    ),
]
_Decimal = Annotated[
    Literal[".", ","],
    Field(description="Decimal sign of numbers in text. Thousands separators are not read."),
]
_Header = Annotated[
    bool,
    Field(
        description="Whether the first row of CSV files names the columns. false: the columns are "
        "c1, c2 and so on."
    ),
]
_Missing = Annotated[
    tuple[str, ...],
    Field(
        description="Cells that mean a missing value, in addition to empty ones; upper and lower "
        "case are not distinguished."
    ),
]
_MISSING = ("NA", "N/A", "NaN", "null", "none", "-", "?")


class _DataSection(Section):
    def states(self, role: Literal["group", "split"]) -> bool:
        """Return whether a column or a folder level states the group or the split."""
        levels = getattr(self, "levels", None) or ()
        return getattr(self, role, None) is not None or role in levels


class ImageFolder(_DataSection):
    """A folder of images with one subfolder per class, or with the folder levels of ``levels``."""

    kind: Literal["images"] = Field(description="Kind of data: images, table, pairs or tfrecord.")
    path: _Path
    window: _Window = None
    levels: Annotated[list[LevelRole], Field(min_length=1)] | None = Field(
        default=None,
        description="Role of each folder level, from the top: label, group, split or ignore, such "
        "as [split, label] or [label, group]. Several label levels are joined with /. null: the "
        "folders are the label; folder names that may be something else stop the run.",
    )
    table: str | None = Field(
        default=None,
        description="File, folder or pattern of tables (CSV, Parquet) with a row per image: its "
        "path, relative to `path` or to the table, or the image itself. null: the folders are the "
        "labels.",
    )
    image: str | None = Field(
        default=None,
        description="Column of `table` with the path of the image, or the image itself. null: the "
        "column with a usual name, such as image, path or file.",
    )
    label: str | None = Field(default=None, description="Column of `table` with the class.")
    id: _Id = None
    group: _Group = None
    split: _Split = None
    time: _Time = None
    encoding: _Encoding = None
    delimiter: _Delimiter = None
    header: _Header = True
    missing: _Missing = _MISSING
    follow_links: _FollowLinks = None
    size: _Size = (28, 28)
    channels: _Channels = 3
    background: _Background = "white"
    max_bytes: _MaxBytes = 20_000_000
    max_pixels: _MaxPixels = 25_000_000
    max_rejected: _MaxRejected = 0.01
    max_conflicts: _MaxConflicts = 0.01
    corrections: _Corrections = None

    @pydantic.field_validator("levels")
    @classmethod
    def _check_levels(cls, levels: list[LevelRole] | None) -> list[LevelRole] | None:
        if levels is None:
            return None
        if "label" not in levels:
            raise ValueError("expected at least one level with the role label")
        for role in ("group", "split"):
            if levels.count(role) > 1:
                raise ValueError(f"expected at most one level with the role {role}")
        return levels

    @pydantic.model_validator(mode="after")
    def _check_table(self) -> "ImageFolder":
        if self.table is None:
            keys = ("image", "label", "id", "group", "split", "time")
            set_keys = [key for key in keys if getattr(self, key) is not None]
            if set_keys:
                key = set_keys[0]
                levels = f", give a folder level the role {key} in data.levels"
                raise ValueError(
                    f"{key} names a column of a table, but table is not set: set data.table"
                    f"{levels if key in ('label', 'group', 'split') else ''}, or remove data.{key}"
                )
        elif self.levels is not None:
            raise ValueError("levels and table exclude each other: remove one")
        elif self.label is None:
            raise ValueError("table needs label, the column with the class of each image")
        elif "{" in self.path or self.window is not None:
            raise ValueError("table cannot be combined with spans: remove one")
        return self


class Table(_DataSection):
    """Tables with a label column, and numeric columns or one list column as the vector.

    CSV, Parquet, Feather (Arrow IPC) or JSON Lines files.
    """

    kind: Literal["table"] = Field(description="Kind of data: images, table, pairs or tfrecord.")
    path: _Path
    window: _Window = None
    label: str = Field(description="Column with the class of each row.")
    columns: ColumnChoice | None = Field(
        default=None,
        description="Columns of the vector: a list, a prefix such as v*, a number of columns, or "
        "one list column. null: all numeric columns without another role.",
    )
    id: _Id = None
    group: _Group = None
    split: _Split = None
    time: _Time = None
    encoding: _Encoding = None
    delimiter: _Delimiter = None
    decimal: _Decimal = "."
    header: _Header = True
    missing: _Missing = _MISSING
    max_rejected: _MaxRejected = 0.01
    max_conflicts: _MaxConflicts = 0.01
    corrections: _Corrections = None


class PairTable(_DataSection):
    """Tables of given pairs: columns of both sides, and a column that labels them.

    CSV, Parquet, Feather (Arrow IPC) or JSON Lines files.

    A side is a vector in several columns, or an image: the path of a file, or the image itself.
    """

    kind: Literal["pairs"] = Field(description="Kind of data: images, table, pairs or tfrecord.")
    path: _Path
    window: _Window = None
    same: str = Field(description="Column that states whether a pair is positive.")
    same_value: int | str | bool = Field(
        default=1, description="Value of the column `same` in positive pairs."
    )
    left: ColumnChoice = Field(
        description="Columns of the left side: a list, a prefix such as left_*, or a number of "
        "columns; or the column with images or their paths."
    )
    right: ColumnChoice = Field(
        description="Columns of the right side, the same number as on the left."
    )
    images: str | None = Field(
        default=None,
        description="Folder in which the paths of images start. null: the folder of the table.",
    )
    id: _Id = None
    group: _Group = None
    split: _Split = None
    time: _Time = None
    encoding: _Encoding = None
    delimiter: _Delimiter = None
    decimal: _Decimal = "."
    header: _Header = True
    missing: _Missing = _MISSING
    follow_links: _FollowLinks = None
    size: _Size = (28, 28)
    channels: _Channels = 3
    background: _Background = "white"
    max_bytes: _MaxBytes = 20_000_000
    max_pixels: _MaxPixels = 25_000_000
    max_rejected: _MaxRejected = 0.01
    max_conflicts: _MaxConflicts = 0.01
    corrections: _Corrections = None


class TFRecords(_DataSection):
    """TFRecord files, also ``.gz``, of tf.Examples with a label and an image or a float vector."""

    kind: Literal["tfrecord"] = Field(description="Kind of data: images, table, pairs or tfrecord.")
    path: _Path
    window: _Window = None
    label: str = Field(default="label", description="Feature with the class of each example.")
    image: str | None = Field(
        default=None,
        description="Feature with the encoded image. null: the examples are vectors.",
    )
    vector: str | None = Field(
        default=None,
        description="Feature with the float vector. null: the examples are images.",
    )
    id: _Id = None
    group: _Group = None
    split: _Split = None
    time: _Time = None
    size: _Size = (28, 28)
    channels: _Channels = 3
    background: _Background = "white"
    max_bytes: _MaxBytes = 20_000_000
    max_pixels: _MaxPixels = 25_000_000
    max_rejected: _MaxRejected = 0.01
    max_conflicts: _MaxConflicts = 0.01
    corrections: _Corrections = None

    @pydantic.model_validator(mode="after")
    def _check_input(self) -> "TFRecords":
        if (self.image is None) == (self.vector is None):
            got = "neither" if self.image is None else "both"
            raise ValueError(f"expected either 'image' or 'vector', got {got}: name one feature")
        return self


DataConfig = ImageFolder | Table | PairTable | TFRecords
