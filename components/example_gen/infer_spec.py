"""Infer the features of the examples from the data, and report errors before a run starts."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from diptych.components.common import cell_values as values
from diptych.components.common.path_roles import parse_path
from diptych.components.common.table_rows import (
    TableRows,
    TextSettings,
    check_columns,
    format_names,
    read_schema,
    read_table_rows,
)
from diptych.components.common.tables.file_formats import detect_table_format
from diptych.components.common.tables.text_format import check_encoding
from diptych.components.example_gen.columns import (
    ColumnSample,
    inspect_columns,
    require_column,
    select_columns,
)
from diptych.components.example_gen.first_rows import read_first_rows
from diptych.components.example_gen.image_cells import (
    ImageLocator,
    can_hold_images,
    find_image_column,
)
from diptych.components.example_gen.pair_tables import canonical_same_value
from diptych.components.example_gen.span_files import SpanFiles, find_span_files
from diptych.components.example_gen.split_scan import find_given_splits
from diptych.components.example_gen.splits import assign_splits
from diptych.components.example_gen.tfrecords import decode_examples, read_records, single_values
from diptych.schemas.config.colour import parse_colour
from diptych.schemas.config.data import DataConfig, ImageFolder, PairTable, Table, TFRecords
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import ConfigError, DataError
from diptych.schemas.input_spec import RESERVED, Column, InputSpec
from diptych.schemas.shards import SPLITS

_T = TypeVar("_T")
_Spans = tuple[SpanFiles, ...]  # newest last
_SAMPLE_ROWS = 1000
_MAX_SEEDS = 1000
_PLURALS = {"class": "classes", "group": "groups"}
_ROLES = ("id", "group", "split", "time")  # optional columns other than the vector
_MAX_SCANNED_ROWS = 1_000_000


def infer_input_spec(data: DataConfig, split: SplitConfig) -> InputSpec:
    """Infer the features of the examples from headers, the first rows and the labels.

    Labels are read until two classes are found, usually in the first block. The newest span
    decides; ExampleGen checks whether older spans match it.

    Raises:
      ConfigError: If a path or column does not exist, or a column does not fit its configuration
        key.
      DataError: If the data have no rows or only one class, files differ in their columns, or a
        file cannot be read.
    """
    spans = find_span_files(data)
    inputs = _infer_from_files(spans, data, split)
    find_given_splits(spans, data, split)
    return inputs


def _infer_from_files(spans: _Spans, data: DataConfig, split: SplitConfig) -> InputSpec:
    if isinstance(data, ImageFolder) and data.table is not None:
        return _infer_from_image_list(spans, data, split)
    if isinstance(data, ImageFolder):
        return _infer_from_images(spans, data, split)
    if isinstance(data, Table):
        return _infer_from_table(spans, data)
    if isinstance(data, PairTable):
        return _infer_from_pair_table(spans, data)
    return _infer_from_tfrecords(spans, data)


def _infer_from_images(spans: _Spans, data: ImageFolder, split: SplitConfig) -> InputSpec:
    folders = {os.path.dirname(file.name) for span in spans for file in span.files}
    roles = {parse_path(f"{folder}/", data.levels) for folder in folders}
    classes = sorted({role.label for role in roles})
    if len(classes) < 2:
        raise _single_class_error(f"one folder with images, {classes[0]!r}")
    if not spans[-1].num_bytes:
        raise DataError(f"All images in {spans[-1].root} are empty (0 bytes). Copy the data again.")
    if split.by == "class":
        _check_splits_are_used(classes, "class", split)
    elif split.by == "group":
        _check_splits_are_used(sorted({str(role.group) for role in roles}), "group", split)
    return image_input_spec(data)


def _check_splits_are_used(units: Sequence[str], name: str, split: SplitConfig) -> None:
    """Check that every split gets a class or a group.

    Raises:
      DataError: If a split gets none.
    """
    keys = [unit.encode() for unit in units]
    used = np.unique(assign_splits(keys, split))
    empty = [name for number, name in enumerate(SPLITS) if number not in used]
    if not empty:
        return
    seeds = range(_MAX_SEEDS if len(units) >= len(SPLITS) else 0)
    filling = (
        seed
        for seed in seeds
        if len(np.unique(assign_splits(keys, split.model_copy(update={"seed": seed})))) == 3
    )
    seed = next(filling, None)
    remedy = "Change the fractions or split.seed" if seed is None else f"Set split.seed: {seed}"
    raise DataError(
        f"The split {' and '.join(empty)} gets no {name}: {len(units)} {_PLURALS[name]}, "
        f"fractions {split.train}, {split.calibration}, {split.test}. {remedy}, or split by "
        "example."
    )


def _infer_from_table(spans: _Spans, data: Table) -> InputSpec:
    settings = _check_text_format(spans[-1], data)
    sample, _ = read_first_rows(spans[-1], settings)
    assigned = _collect_assigned_columns(data, {"data.label": data.label}, sample)
    columns = select_columns(data.columns, "data.columns", sample, assigned)
    by_position = (
        data.columns is None or isinstance(data.columns, int) or _has_wildcard(data.columns)
    )
    _check_columns_of_files(
        spans[-1], sample, [*assigned, *(column.name for column in columns)], by_position, settings
    )
    seen: set[str] = set()
    for text in _read_canonical_text(spans, data.label, settings):
        seen.update(label for label in text.unique().to_pylist() if label is not None)
        if len(seen) > 1:
            return InputSpec(kind="vector", columns=columns)
    if not seen:
        raise DataError(f"The column {data.label!r} has no values. Check data.label.")
    raise _single_class_error(f"one value in the column {data.label!r}, {seen.pop()!r}")


def _infer_from_image_list(spans: _Spans, data: ImageFolder, split: SplitConfig) -> InputSpec:
    (span,) = spans
    settings = _check_text_format(span, data)
    sample, _ = read_first_rows(span, settings)
    image = find_image_column(data, sample.names)
    assigned = _collect_assigned_columns(data, {"data.label": str(data.label)}, sample)
    _check_image_columns(span, data, {"data.image": image}, sample, assigned, settings)
    labels: set[str] = set()
    for text in _read_canonical_text(spans, str(data.label), settings):
        labels.update(text.unique().drop_null().to_pylist())
        if len(labels) > 1 and split.by != "class":
            break
    if len(labels) < 2:
        raise _single_class_error(f"{len(labels)} values in the column {data.label!r}")
    if split.by == "class":
        _check_splits_are_used(sorted(labels), "class", split)
    return image_input_spec(data)


def _check_image_columns(
    span: SpanFiles,
    data: ImageFolder | PairTable,
    columns: dict[str, str],
    sample: ColumnSample,
    assigned: dict[str, str],
    settings: TextSettings,
) -> None:
    """Check that columns exist in all files and name existing images.

    Raises:
      ConfigError: If a column does not exist, has another role, or its cells cannot be images.
      DataError: If none of the first images exists.
    """
    for key, name in columns.items():
        require_column(name, sample.names, key)
        if name in assigned:
            raise ConfigError(
                f"{key}: column {name!r} is already {assigned[name]}. Name another column."
            )
    required = [*assigned, *columns.values()]
    _check_columns_of_files(span, sample, required, False, settings)
    path = next(span.root / file.name for file in span.files if file.size)
    schema = read_schema(path, settings)
    for key, name in columns.items():
        data_type = schema.field(name).type
        if not can_hold_images(data_type):
            raise ConfigError(
                f"{key}: the column {name!r} must hold paths or encoded images, got {data_type}. "
                "Name another column."
            )
    missing = [image.name for image in span.images if not image.size]
    if span.images and len(missing) == len(span.images):
        locator = ImageLocator.of_data(data, span.root)
        _, problem = locator.locate(missing[0])
        raise DataError(
            f"None of the {len(missing)} images in {format_names(list(columns.values()))} can be "
            f"used, such as {missing[0]!r}: {problem or 'empty (0 bytes)'}. Paths start in "
            f"{' or '.join(locator.folders)}. Check the paths and "
            f"data.{'path' if isinstance(data, ImageFolder) else 'images'}."
        )


def _infer_from_pair_table(spans: _Spans, data: PairTable) -> InputSpec:
    settings = _check_text_format(spans[-1], data)
    sample, _ = read_first_rows(spans[-1], settings)
    assigned = _collect_assigned_columns(data, {"data.same": data.same}, sample)
    if spans[-1].image_columns:
        sides = {"data.left": str(data.left), "data.right": str(data.right)}
        _check_image_columns(spans[-1], data, sides, sample, assigned, settings)
        _check_same_column(spans, data, settings)
        return image_input_spec(data)
    columns: dict[str, tuple[Column, ...]] = {}
    # Named columns first; a count then selects from the remaining columns, left before right.
    for side in sorted(("left", "right"), key=lambda side: isinstance(getattr(data, side), int)):
        columns[side] = select_columns(getattr(data, side), f"data.{side}", sample, assigned)
        assigned = {**assigned, **{column.name: f"data.{side}" for column in columns[side]}}
    left, right = ([column.width for column in columns[side]] for side in ("left", "right"))
    if left != right:
        raise ConfigError(
            f"data.left and data.right must have the same widths, got {len(left)} columns with "
            f"{sum(left)} values and {len(right)} columns with {sum(right)} values. "
            "Correct one of them."
        )
    by_position = any(
        isinstance(choice, int) or _has_wildcard(choice) for choice in (data.left, data.right)
    )
    _check_columns_of_files(spans[-1], sample, list(assigned), by_position, settings)
    _check_same_column(spans, data, settings)
    return InputSpec(kind="vector", columns=columns["left"], right_columns=columns["right"])


def _check_same_column(spans: _Spans, data: PairTable, settings: TextSettings) -> None:
    positive = canonical_same_value(data.same_value)
    seen: set[str] = set()
    num_rows = 0
    for text in _read_canonical_text(spans, data.same, settings, same=True):
        seen.update(value for value in text.unique().to_pylist() if value is not None)
        num_rows += len(text)
        if len(seen) > 2:
            raise ConfigError(
                f"data.same: the column {data.same!r} has more than two values "
                f"({format_names(sorted(seen), 5)}). Expected one value for positive and one for "
                "negative pairs."
            )
        if num_rows >= _MAX_SCANNED_ROWS and len(seen) == 2:
            break
    if positive not in seen:
        raise ConfigError(
            f"data.same_value: {data.same_value!r} never occurs in the column {data.same!r}. "
            f"Its values are: {format_names(sorted(seen), 5)}. Choose one of them."
        )
    if len(seen) < 2:
        raise DataError(
            f"The column {data.same!r} has only one value, {positive!r}. "
            "Training needs positive and negative pairs. Check data.same."
        )


def _infer_from_tfrecords(spans: _Spans, data: TFRecords) -> InputSpec:
    first: pa.RecordBatch | None = None
    seen: set[str] = set()
    num_records = 0
    for number, records in _read_files(spans, read_records):
        num_records += len(records)
        for _, rows, _ in decode_examples(records, number):
            if rows is None:
                continue
            if first is None:
                first = rows.batch.slice(0, _SAMPLE_ROWS)
                _check_features(first, data)
            labels = values.as_text(single_values(rows.batch, data.label))
            seen.update(label for label in labels.unique().to_pylist() if label is not None)
        if len(seen) > 1 or num_records >= _MAX_SCANNED_ROWS:
            break
    if not num_records:
        raise DataError(f"No records in {data.path}. Check how the data were written.")
    if first is None:
        raise DataError(f"No record in {data.path} is a tf.Example. Check how they were written.")
    if not seen:
        raise DataError(f"The feature {data.label!r} has no values. Check data.label.")
    if len(seen) < 2 and num_records < _MAX_SCANNED_ROWS:
        raise _single_class_error(f"one value of the feature {data.label!r}, {seen.pop()!r}")
    if data.image is not None:
        return image_input_spec(data)
    sample = inspect_columns(first.select([str(data.vector)]), first.schema.names)
    columns = select_columns(data.vector, "data.vector", sample, {})
    return InputSpec(kind="vector", columns=columns)


def image_input_spec(data: ImageFolder | PairTable | TFRecords) -> InputSpec:
    """Return the features of images, which the configuration alone determines."""
    return InputSpec(
        kind="image",
        size=data.size,
        channels=data.channels,
        background=parse_colour(data.background),
        image_pairs=isinstance(data, PairTable),
    )


def _check_features(batch: pa.RecordBatch, data: TFRecords) -> None:
    features = {"label": data.label, "image": data.image, "vector": data.vector}
    features |= {key: getattr(data, key) for key in _ROLES}
    for key, feature in features.items():
        if feature is not None:
            require_column(feature, batch.schema.names, f"data.{key}")
    if data.vector is not None:
        if data.vector == data.label:
            raise ConfigError(
                f"data.vector: the feature {data.vector!r} is already data.label. "
                "Name another feature."
            )
        if data.vector in RESERVED:
            raise ConfigError(
                f"data.vector: the name {data.vector!r} is reserved ({', '.join(RESERVED)}). "
                "Rename the feature."
            )
        data_type = batch.schema.field(data.vector).type
        if not values.is_list(data_type) or not values.is_number(data_type.value_type):
            raise ConfigError(
                f"data.vector: the feature {data.vector!r} must hold numbers, got {data_type}. "
                "Name another feature."
            )
    if data.image is not None:
        cells = single_values(batch, data.image)
        if not values.is_text(cells.type) or cells.null_count == len(cells):
            raise ConfigError(
                f"data.image: the feature {data.image!r} must hold one encoded image (bytes), got "
                f"{cells.type}. Name another feature."
            )


def _check_text_format(span: SpanFiles, data: Table | PairTable | ImageFolder) -> TextSettings:
    """Check the encoding of all CSV files, before anything runs; return the settings of the user.

    Raises:
      DataError: If a file is not in its encoding.
    """
    settings = TextSettings.from_config(data)
    for file in span.files:
        path = span.root / file.name
        if file.size and detect_table_format(path) == "csv":
            check_encoding(path, settings)
    return settings


def _collect_assigned_columns(
    data: Table | PairTable | ImageFolder, columns: dict[str, str], sample: ColumnSample
) -> dict[str, str]:
    """Map each column with a role other than the vector to its configuration key."""
    columns |= {f"data.{key}": getattr(data, key) for key in _ROLES if getattr(data, key)}
    assigned: dict[str, str] = {}
    for key, name in columns.items():
        require_column(name, sample.names, key)
        if sample.names.count(name) > 1:
            raise DataError(f"Several columns are named {name!r} ({key}). Rename them.")
        if name in sample.list_widths:
            raise ConfigError(
                f"{key}: the column {name!r} contains lists. Name a column of single values."
            )
        # The same column may be both id and group.
        assigned.setdefault(name, key)
    return assigned


def _has_wildcard(choice: str | Sequence[str] | int | None) -> bool:
    patterns = [choice] if isinstance(choice, str) else choice
    return isinstance(patterns, list) and any(pattern.endswith("*") for pattern in patterns)


def _check_columns_of_files(
    span: SpanFiles,
    sample: ColumnSample,
    required: Sequence[str],
    by_position: bool,
    settings: TextSettings,
) -> None:
    """Check that every file has the same columns.

    Args:
      span: Files to check.
      sample: Column types of the first file.
      required: Columns that every file must have.
      by_position: The columns of the vector are not named one by one, so no column may differ.
      settings: Format of CSV files.

    Raises:
      DataError: If the columns of a file differ from those of the first.
    """
    for file in span.files:
        path = span.root / file.name
        names = read_schema(path, settings).names
        if not names:
            continue
        check_columns(path, names, required)
        differing = sorted(set(names) ^ set(sample.names))
        if by_position and differing:
            raise DataError(
                f"{path} has different columns than the first file: {format_names(differing)} are "
                "in only one of them. Name the columns of the vector, or write the same columns to "
                "all files."
            )


def _read_canonical_text(
    spans: _Spans, column: str, settings: TextSettings, same: bool = False
) -> Iterator[pa.Array]:
    def read(path: Path) -> Iterator[TableRows]:
        return read_table_rows(path, [column], batch_size=65536, settings=settings)

    to_text = values.as_same_text if same else values.as_text
    for rows in _read_files(spans, read):
        yield to_text(rows.batch.column(column), rows.cells)


def _read_files(spans: _Spans, read: Callable[[Path], Iterator[_T]]) -> Iterator[_T]:
    """Apply ``read`` to each file, newest span first. Errors of older spans are ignored."""
    for span in reversed(spans):
        with contextlib.suppress(*(() if span is spans[-1] else (DataError,))):
            for file in span.files:
                if file.size:
                    yield from read(span.root / file.name)


def _single_class_error(found: str) -> DataError:
    return DataError(f"Expected at least 2 classes, got {found}. Check the labels, or add data.")
