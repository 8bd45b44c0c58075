"""Profile the data to propose a configuration: their kind, and the role of each column."""

import collections
import dataclasses
import io
import os
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pydantic
from PIL import Image

from diptych.components.common import cell_values as values
from diptych.components.common.table_rows import format_names, read_table_rows
from diptych.components.example_gen.columns import ColumnSample
from diptych.components.example_gen.infer_spec import infer_input_spec, read_first_rows
from diptych.components.example_gen.span_files import SpanFiles, find_files
from diptych.components.example_gen.spans import find_spans, guess_span_pattern, has_spans
from diptych.components.example_gen.tfrecords import decode_examples, read_records, single_values
from diptych.schemas.config.data import DataConfig, ImageFolder, Table, TFRecords
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import ConfigError, DataError, DiptychError
from diptych.schemas.input_spec import RESERVED

_SAMPLE_IMAGES, _MAX_COUNTED_ROWS = 64, 1_000_000
_MAX_DECODED_PIXELS = 25_000_000  # by the header; larger images are not decoded
_SIDE_LENGTHS = (28, 224)  # smallest and largest proposal for resized images
_LABEL_NAMES = ("label", "labels", "class", "target", "species", "y", "category")
_SAME_NAMES = (
    "same",
    "is_same",
    "match",
    "is_match",
    "alike",
    "similar",
    "duplicate",
    "is_duplicate",
)
_SAME_VALUES = {"1": 1, "yes": "yes", "same": "same", "match": "match", "y": "y"}
_SIDE_NAMES = (("left", "right"), ("first", "second"), ("a", "b"), ("x1", "x2"), ("1", "2"))
_IMAGE_SIGNATURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")

_DATA: pydantic.TypeAdapter[DataConfig] = pydantic.TypeAdapter(
    Annotated[DataConfig, pydantic.Field(discriminator="kind")]
)


@dataclasses.dataclass(frozen=True)
class DataProfile:
    """Proposed configuration for some data.

    Attributes:
      data: Keys of the section ``data``.
      settings: Keys of other sections, by section.
      notes: Notes for the user; those that start with CHECK need attention.
    """

    data: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]
    notes: Sequence[str]


def profile_data(path: Path) -> DataProfile:
    """Profile data from file names, headers, the first rows and the labels.

    Raises:
      ConfigError: If the path does not exist, or has no data of a known kind.
      DataError: If the data have no rows, or a file cannot be read.
    """
    text = str(path)
    pattern = text if has_spans(text) else guess_span_pattern(text)
    if pattern is None:
        return _with_check_note(_profile_path(text))
    *_, newest = spans = find_spans(pattern)
    profile = _profile_path(newest.path)
    note = f"{len(spans)} spans, see window; this profile is of the newest, {newest.name}."
    data = {**profile.data, "path": pattern}
    return _with_check_note(dataclasses.replace(profile, data=data, notes=[note, *profile.notes]))


def _profile_path(path: str) -> DataProfile:
    kind = _detect_kind(path)
    if kind == "images":
        return _profile_images(path)
    if kind == "tfrecord":
        return _profile_tfrecords(path)
    return _profile_table(path)


def _with_check_note(profile: DataProfile) -> DataProfile:
    """Add a note if the proposed configuration is invalid."""
    try:
        infer_input_spec(_DATA.validate_python(profile.data), SplitConfig())
    except DiptychError as error:
        note = " ".join(f"CHECK: {error}".split())
        return dataclasses.replace(profile, notes=[*profile.notes, note])
    return profile


def _detect_kind(path: str) -> str:
    if not os.path.isdir(path):
        lower = path.lower()
        return "tfrecord" if "tfrecord" in lower or _is_gzipped_tfrecord(lower) else "table"
    names = [entry for entry in sorted(os.listdir(path)) if not entry.startswith(".")]
    files = [name.lower() for name in names if os.path.isfile(os.path.join(path, name))]
    if any(name.endswith((".csv", ".tsv", ".parquet", ".pq", ".csv.gz")) for name in files):
        return "table"
    if any("tfrecord" in name or _is_gzipped_tfrecord(name) for name in files):
        return "tfrecord"
    if len(files) < len(names) or files:
        return "images"
    raise ConfigError(
        f"{path} is empty. Name a folder of images, or CSV, Parquet or TFRecord files."
    )


def _is_gzipped_tfrecord(name: str) -> bool:
    return name.endswith((".gz", ".tfr")) and not name.endswith((".csv.gz", ".tsv.gz"))


def _profile_images(path: str) -> DataProfile:
    span_files = find_files(ImageFolder(kind="images", path=path))
    step = -(-len(span_files.files) // _SAMPLE_IMAGES)
    settings, note = _infer_image_settings(
        span_files.root / file.name for file in span_files.files[::step]
    )
    counts = collections.Counter(os.path.dirname(file.name) for file in span_files.files)
    data = {"kind": "images", "path": path, **settings}
    notes = [f"{len(span_files.files)} images, {note}"]
    if span_files.rejected:
        name, reason = span_files.rejected[0]
        notes.append(f"{len(span_files.rejected)} files are rejected, such as {name!r}: {reason}.")
    return _with_class_settings(data, counts, notes)


def _infer_image_settings(images: Iterable[Any]) -> tuple[dict[str, Any], str]:
    """Propose size and channels for images, given as paths or open files; and a note."""
    heights, widths, has_color = [], [], []
    for encoded in images:
        try:
            with Image.open(encoded) as image:
                height, width, is_color = image.height, image.width, _has_color(image)
        except Exception:  # damaged images raise many exception types; ExampleGen reports them
            continue
        heights.append(height)
        widths.append(width)
        has_color.append(is_color)
    if not heights:
        raise DataError("None of the sampled images can be read. Check the files.")
    smallest = f"{min(heights)} x {min(widths)}"
    largest = f"{max(heights)} x {max(widths)}"
    note = f"of {smallest if smallest == largest else f'{smallest} to {largest}'} pixels"
    settings = {
        "size": (_choose_side_length(heights), _choose_side_length(widths)),
        "channels": 3 if any(has_color) else 1,
    }
    return settings, f"{note} (in a sample of {len(heights)})."


def _has_color(image: Image.Image) -> bool:
    if image.mode in ("1", "L", "LA", "I", "I;16", "F"):
        return False
    if image.width * image.height > _MAX_DECODED_PIXELS:
        return True
    image.thumbnail((64, 64))  # enough to detect color
    red, green, blue = (channel.tobytes() for channel in image.convert("RGB").split())
    return not red == green == blue


def _choose_side_length(lengths: Sequence[int]) -> int:
    smallest, largest = _SIDE_LENGTHS
    # A multiple of 4 can be halved twice.
    return min(largest, max(smallest, 4 * round(statistics.median(lengths) / 4)))


def _with_class_settings(
    data: dict[str, Any],
    counts: Mapping[str, int],
    notes: list[str],
    is_partial: bool = False,
) -> DataProfile:
    """Add P and K: at most the number of classes, and at most the median size of a class."""
    defaults = PairsConfig()
    sizes = sorted(counts.values())
    if not sizes:
        return DataProfile(data, {}, notes)
    median = sizes[len(sizes) // 2]
    in_training = int(median * SplitConfig().train)
    p = max(2, min(defaults.classes_per_batch, len(sizes)))
    k = max(2, min(defaults.examples_per_class, in_training))
    notes = [
        *notes,
        f"{'At least ' if is_partial else ''}{len(sizes)} classes "
        f"with {sizes[0]} to {sizes[-1]} examples, median {median}.",
    ]
    if len(sizes) >= 20:
        notes.append("To evaluate on unseen classes, set split.by: class.")
    pairs = {"classes_per_batch": p, "examples_per_class": k}
    return DataProfile(data, {"pairs": pairs}, notes)


def _profile_table(path: str) -> DataProfile:
    span_files = find_files(Table(kind="table", path=path, label=""))
    sample, batch = read_first_rows(span_files)
    paired = _profile_pair_table(path, sample, batch)
    if paired is not None:
        return paired
    label, is_certain = _guess_label_column(sample, batch)
    notes = [] if is_certain else [f"CHECK: the label column {label!r} is a guess."]
    data: dict[str, Any] = {"kind": "table", "path": path, "label": label}
    lists = [name for name in sample.list_widths if name != label]
    numeric = [name for name in sample.names if name in sample.numeric and name != label]
    if "id" in sample.names and label != "id" and _count_distinct(batch, "id") == batch.num_rows:
        data["id"] = "id"
        numeric = [name for name in numeric if name != "id"]
    if lists:
        data["columns"] = max(lists, key=lambda name: sample.list_widths[name])
        notes.append(f"The vector is the list column {data['columns']!r}.")
    elif set(numeric) & set(RESERVED):
        data["columns"] = [name for name in numeric if name not in RESERVED]
        reserved = sorted(set(numeric) & set(RESERVED))
        notes.append(f"Columns with reserved names are not used: {format_names(reserved)}.")
    elif numeric:
        notes.append(f"The vector has {len(numeric)} numeric columns: {format_names(numeric, 6)}.")
    counts, is_partial = _count_labels(span_files, label)
    return _with_class_settings(data, counts, notes, is_partial)


def _profile_pair_table(
    path: str, sample: ColumnSample, batch: pa.RecordBatch
) -> DataProfile | None:
    same, is_certain = _guess_same_column(sample, batch)
    if same is None:
        return None
    usable = [name for name in sample.names if name in sample.numeric or name in sample.list_widths]
    usable = [name for name in usable if name != same]
    sides = _find_sides_by_affix(usable) or _find_sides_by_number(
        [name for name in usable if name in sample.numeric]
    )
    if sides is None:
        return None
    left, right = sides
    notes = [f"Table of pairs: {same!r} marks positive pairs."]
    if isinstance(left, int):
        notes.append(
            f"The first {left} numeric columns are the left side, the next {right} the right side."
        )
        if not is_certain:
            notes.append(f"CHECK: if {same!r} is the class of a row, use kind: table instead.")
    texts = [str(value) for value in _distinct_same_texts(batch, same)]
    positive = next(
        (value for text, value in _SAME_VALUES.items() if text in map(str.lower, texts)), 1
    )
    if isinstance(positive, str):  # with the capitalization of the data
        positive = next(text for text in texts if text.lower() == positive)
    data = {"kind": "pairs", "path": path, "same": same, "same_value": positive}
    return DataProfile({**data, "left": left, "right": right}, {}, notes)


def _guess_same_column(sample: ColumnSample, batch: pa.RecordBatch) -> tuple[str | None, bool]:
    """Find a column with two values and a typical name; and whether the name is conclusive."""
    for candidates, is_certain in ((_SAME_NAMES, True), (_LABEL_NAMES, False)):
        for name in sample.names:
            if name.lower() in candidates and name in batch.schema.names:
                texts = {text.lower() for text in _distinct_same_texts(batch, name)}
                if len(texts) == 2 and texts & set(_SAME_VALUES):
                    return name, is_certain
    return None, False


def _distinct_same_texts(batch: pa.RecordBatch, name: str) -> list[str]:
    if values.is_list(batch.column(name).type):
        return []
    texts = values.as_same_text(batch.column(name)).unique().to_pylist()
    return sorted(text for text in texts if text is not None)


def _find_sides_by_affix(names: Sequence[str]) -> tuple[Any, Any] | None:
    """Find two sides that differ only by a prefix (left_x) or a suffix (x_left)."""
    for left, right in _SIDE_NAMES:
        for separator in ("_", ".", "-"):
            one, other = left + separator, right + separator
            if _strip_affix(names, one, True) and _strip_affix(names, one, True) == _strip_affix(
                names, other, True
            ):
                return f"{one}*", f"{other}*"
            one, other = separator + left, separator + right
            stems = _strip_affix(names, one, False)
            if stems and sorted(stems) == sorted(_strip_affix(names, other, False)):
                return [stem + one for stem in stems], [stem + other for stem in stems]
    return None


def _strip_affix(names: Iterable[str], affix: str, is_prefix: bool) -> list[str]:
    if is_prefix:
        return [name.removeprefix(affix) for name in names if name.startswith(affix)]
    return [name.removesuffix(affix) for name in names if name.endswith(affix)]


def _find_sides_by_number(names: Sequence[str]) -> tuple[int, int] | None:
    """Split consecutively numbered columns (v0 to v399) into two halves."""
    matches = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    if len(names) < 4 or len(names) % 2 or not all(matches):
        return None
    prefixes = {match.group(1) for match in matches if match}
    numbers = [int(match.group(2)) for match in matches if match]
    if len(prefixes) != 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    return len(names) // 2, len(names) // 2


def _guess_label_column(sample: ColumnSample, batch: pa.RecordBatch) -> tuple[str, bool]:
    """Guess the label column; and whether its name or the lack of others is conclusive."""
    names = [
        name
        for name in sample.names
        if name not in sample.list_widths and name in batch.schema.names
    ]
    for wanted in _LABEL_NAMES:
        for name in names:
            if name.lower() == wanted:
                return name, True
    few = [
        name for name in names if 2 <= _count_distinct(batch, name) <= max(2, batch.num_rows // 2)
    ]
    text_columns = [name for name in few if name not in sample.numeric]
    integer_columns = [
        name for name in few if name in sample.numeric and _is_integer_column(batch, name)
    ]
    for candidates in (text_columns, integer_columns):
        if candidates:
            return candidates[-1], len(candidates) == 1 and candidates is text_columns
    if not names:
        raise DataError(f"No column can be a label: {format_names(sample.names)}. Add one.")
    return names[-1], False


def _count_distinct(batch: pa.RecordBatch, name: str) -> int:
    return len(values.as_text(batch.column(name)).unique().drop_null())


def _is_integer_column(batch: pa.RecordBatch, name: str) -> bool:
    texts = values.as_text(batch.column(name)).unique().drop_null().to_pylist()
    return all(re.fullmatch(r"-?\d+", text) for text in texts)


def _count_labels(span_files: SpanFiles, label: str) -> tuple[collections.Counter[str], bool]:
    counts: collections.Counter[str] = collections.Counter()
    for file in span_files.files:
        path = span_files.root / file.name
        for rows in read_table_rows(path, [label], batch_size=65536):
            text = values.as_text(rows.batch.column(label)).drop_null()
            for pair in text.value_counts().to_pylist():
                counts[pair["values"]] += pair["counts"]
            if counts.total() >= _MAX_COUNTED_ROWS:
                return counts, True
    return counts, False


def _profile_tfrecords(path: str) -> DataProfile:
    span_files = find_files(TFRecords(kind="tfrecord", path=path, image="image"))
    counts: collections.Counter[str] = collections.Counter()
    data: dict[str, Any] = {}
    notes: list[str] = []
    num_records, is_partial = 0, False
    for file in span_files.files:
        if not file.size:
            continue
        for number, records in read_records(span_files.root / file.name):
            for _, rows, _ in decode_examples(records, number):
                if rows is None:
                    continue
                if not data:
                    data, notes = _profile_features(path, rows.batch)
                labels = values.as_text(single_values(rows.batch, data["label"])).drop_null()
                counts.update(labels.to_pylist())
            num_records += len(records)
            if num_records >= _MAX_COUNTED_ROWS // 10:
                is_partial = True
                break
        if is_partial:
            break
    if not data:
        raise DataError(f"No record in {path} is a tf.Example. Check how the records were written.")
    return _with_class_settings(data, counts, notes, is_partial)


def _profile_features(path: str, batch: pa.RecordBatch) -> tuple[dict[str, Any], list[str]]:
    names = sorted(batch.schema.names)
    singles = {name: single_values(batch, name) for name in names}
    images, vectors, scalars = [], [], []
    for name in names:
        data_type = batch.column(name).type
        if not values.is_list(data_type):
            continue
        first = next((value for value in singles[name].to_pylist() if value is not None), None)
        if isinstance(first, bytes) and first.startswith(_IMAGE_SIGNATURES):
            images.append(name)
        elif values.is_number(data_type.value_type) and first is None:
            vectors.append(name)
        elif first is not None:
            scalars.append(name)
    vectors = [name for name in vectors if name not in RESERVED]
    named = [name for wanted in _LABEL_NAMES for name in scalars if name.lower() == wanted]
    label = (named or scalars or ["label"])[0]
    notes = [] if named else [f"CHECK: the label feature {label!r} is a guess."]
    notes.append(f"The features are: {format_names(names)}.")
    if not images and not vectors:
        raise ConfigError(
            f"No feature in {path} contains an encoded image or a vector of numbers: "
            f"{format_names(names)}. Check data.path."
        )
    data: dict[str, Any] = {"kind": "tfrecord", "path": path, "label": label}
    if images:
        encoded = singles[images[0]].drop_null().slice(0, _SAMPLE_IMAGES).to_pylist()
        settings, note = _infer_image_settings(io.BytesIO(image) for image in encoded)
        return {**data, "image": images[0], **settings}, [*notes, f"Images {note}"]
    widths = {name: len(batch.column(name).drop_null()[0]) for name in vectors}
    data["vector"] = max(vectors, key=lambda name: widths[name])
    return data, notes
