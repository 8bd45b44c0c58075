"""The section ``data``: what the raw data are and where they lie."""

from typing import Literal

import pydantic
from pydantic import PositiveInt

from diptych.schemas.config.section import Section, Share

ColumnChoice = str | list[str] | PositiveInt
"""Columns by name (``embedding``), by prefix (``pixel_*``), as a list, or by their number."""


class ImageFolder(Section):
    """A folder of images, one folder per class; nested folders give labels such as ``a/b``."""

    kind: Literal["images"]
    path: str  # also as spans: data/span-{YYYY}-{MM}-{DD}
    window: PositiveInt | None = None  # as many of the newest spans; None: all
    size: tuple[PositiveInt, PositiveInt] = (28, 28)  # height, width after resizing
    channels: Literal[1, 3] = 3
    max_bytes: PositiveInt = 20_000_000  # of a file; larger ones are set aside unread
    max_pixels: PositiveInt = 25_000_000  # height times width, by the header; before decoding
    max_rejected: Share = 0.01


class Table(Section):
    """CSV or Parquet: a label column, and numeric columns or one list column as the vector."""

    kind: Literal["table"]
    path: str  # a file, a folder, or a pattern such as data/*.parquet, also as spans
    window: PositiveInt | None = None
    label: str
    columns: ColumnChoice | None = None  # None: every numeric column that has no other part
    id: str | None = None  # a column with a unique key; None: ids come from the content
    group: str | None = None  # writer, patient: for split.by = group
    max_rejected: Share = 0.01


class PairTable(Section):
    """CSV or Parquet that is paired already: left columns, right columns, a same column."""

    kind: Literal["pairs"]
    path: str
    window: PositiveInt | None = None
    same: str
    same_value: int | str | bool = 1  # the value of ``same`` that means "alike"
    left: ColumnChoice
    right: ColumnChoice
    id: str | None = None
    group: str | None = None
    max_rejected: Share = 0.01


class TFRecords(Section):
    """TFRecord files (``.gz`` too) of tf.Example with a label and an image or a float vector."""

    kind: Literal["tfrecord"]
    path: str
    window: PositiveInt | None = None
    label: str = "label"
    image: str | None = None
    vector: str | None = None
    id: str | None = None
    group: str | None = None
    size: tuple[PositiveInt, PositiveInt] = (28, 28)
    channels: Literal[1, 3] = 3
    max_bytes: PositiveInt = 20_000_000
    max_pixels: PositiveInt = 25_000_000
    max_rejected: Share = 0.01

    @pydantic.model_validator(mode="after")
    def _one_input(self) -> "TFRecords":
        if (self.image is None) == (self.vector is None):
            raise ValueError("name one feature: either 'image' or 'vector'")
        return self


Data = ImageFolder | Table | PairTable | TFRecords
