"""A look at the data before anything starts: settles the features, and says early what is wrong."""

import contextlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
import pyarrow as pa

from diptych.components.common import cell_values as values
from diptych.components.common.table_rows import check_columns, listed, read_rows, read_schema
from diptych.components.example_gen.columns import Sample, choose, find_column, look_at
from diptych.components.example_gen.files import Found, find_data
from diptych.components.example_gen.pair_tables import alike_text
from diptych.components.example_gen.splits import assign_splits
from diptych.components.example_gen.tfrecords import decode_examples, read_records, single_values
from diptych.schemas.config.data import Data, ImageFolder, PairTable, Table, TFRecords
from diptych.schemas.config.split import Split
from diptych.schemas.errors import ConfigError, DataError
from diptych.schemas.input_spec import RESERVED, Column, Inputs
from diptych.schemas.shards import SPLITS

_T = TypeVar("_T")
_Parts = tuple[Found, ...]  # of the spans, the newest last
_SAMPLE_ROWS = 1000
_SCANNED_ROWS = 1_000_000  # of a same column, or of records


def settle(data: Data, split: Split) -> Inputs:
    """Finds the features of the examples; reads headers, some first rows and the labels.

    Labels are read until a second class turns up, mostly in the first block. Where data come in
    spans, the newest has the say; whether older ones fit to it, ExampleGen finds out.

    Raises:
      ConfigError: a path or column does not exist, or cannot have the part it is given.
      DataError: the data have no rows or one class only, files differ in their columns, or a
        file cannot be read.
    """
    parts = find_data(data)
    if isinstance(data, ImageFolder):
        return _settle_images(parts, data, split)
    if isinstance(data, Table):
        return _settle_table(parts, data)
    if isinstance(data, PairTable):
        return _settle_pairs(parts, data)
    return _settle_tfrecords(parts, data)


def _settle_images(parts: _Parts, data: ImageFolder, split: Split) -> Inputs:
    classes = sorted({os.path.dirname(file.name) for part in parts for file in part.files})
    if len(classes) < 2:
        raise _one_class(f"one folder with images, {classes[0]!r}")
    if not parts[-1].num_bytes:
        raise DataError(f"Every image in {parts[-1].root} is empty (0 bytes). Copy the data again.")
    if split.by == "class":
        used = np.unique(assign_splits([name.encode() for name in classes], split))
        empty = [name for number, name in enumerate(SPLITS) if number not in used]
        if empty:
            raise DataError(
                f"No class falls into the split {' and '.join(empty)}: {len(classes)} classes, "
                f"shares {split.train}, {split.calibration}, {split.test}. Change the shares or "
                "split.seed, or split by example."
            )
    return Inputs(kind="image", size=data.size, channels=data.channels)


def _settle_table(parts: _Parts, data: Table) -> Inputs:
    sample, _ = first_rows(parts[-1])
    taken = _taken(data, {"data.label": data.label}, sample)
    columns = choose(data.columns, "data.columns", sample, taken)
    whole = data.columns is None or isinstance(data.columns, int) or _has_prefix(data.columns)
    _check_files(parts[-1], sample, [*taken, *(column.name for column in columns)], whole)
    seen: set[str] = set()
    for text in _texts(parts, data.label):
        seen.update(label for label in text.unique().to_pylist() if label is not None)
        if len(seen) > 1:
            return Inputs(kind="vector", columns=columns)
    if not seen:
        raise DataError(f"The column {data.label!r} has no values. Check data.label.")
    raise _one_class(f"one value in the column {data.label!r}, {seen.pop()!r}")


def _settle_pairs(parts: _Parts, data: PairTable) -> Inputs:
    sample, _ = first_rows(parts[-1])
    taken = _taken(data, {"data.same": data.same}, sample)
    sides: dict[str, tuple[Column, ...]] = {}
    # Those with names first: what they leave is counted off, the left ones before the right.
    for side in sorted(("left", "right"), key=lambda side: isinstance(getattr(data, side), int)):
        sides[side] = choose(getattr(data, side), f"data.{side}", sample, taken)
        taken = {**taken, **{column.name: f"data.{side}" for column in sides[side]}}
    left, right = ([column.width for column in sides[side]] for side in ("left", "right"))
    if left != right:
        raise ConfigError(
            f"data.left and data.right must be alike, got {len(left)} columns with {sum(left)} "
            f"values and {len(right)} columns with {sum(right)} values."
        )
    whole = any(
        isinstance(choice, int) or _has_prefix(choice) for choice in (data.left, data.right)
    )
    _check_files(parts[-1], sample, list(taken), whole)
    _check_same(parts, data)
    return Inputs(kind="vector", columns=sides["left"], right_columns=sides["right"])


def _check_same(parts: _Parts, data: PairTable) -> None:
    alike = alike_text(data.same_value)
    seen: set[str] = set()
    num_rows = 0
    for text in _texts(parts, data.same, same=True):
        seen.update(value for value in text.unique().to_pylist() if value is not None)
        num_rows += len(text)
        if len(seen) > 2:
            raise ConfigError(
                f"data.same: the column {data.same!r} has more than two values "
                f"({listed(sorted(seen), 5)}). It must say whether two are the same."
            )
        if num_rows >= _SCANNED_ROWS and len(seen) == 2:
            break
    if alike not in seen:
        raise ConfigError(
            f"data.same_value: {data.same_value!r} never occurs in the column {data.same!r}. "
            f"Its values are: {listed(sorted(seen), 5)}."
        )
    if len(seen) < 2:
        raise DataError(
            f"The column {data.same!r} has one value only, {alike!r}. Training needs pairs that "
            "are the same and pairs that are different."
        )


def _settle_tfrecords(parts: _Parts, data: TFRecords) -> Inputs:
    first: pa.RecordBatch | None = None
    seen: set[str] = set()
    num_records = 0
    for number, records in _of_each_file(parts, read_records):
        num_records += len(records)
        for _, rows, _ in decode_examples(records, number):
            if rows is None:
                continue
            if first is None:
                first = rows.batch.slice(0, _SAMPLE_ROWS)
                _check_features(first, data)
            labels = values.as_text(single_values(rows.batch, data.label))
            seen.update(label for label in labels.unique().to_pylist() if label is not None)
        if len(seen) > 1 or num_records >= _SCANNED_ROWS:
            break
    if not num_records:
        raise DataError(f"No records in {data.path} (0 rows). Check how the data were written.")
    if first is None:
        raise DataError(f"No record in {data.path} is a tf.Example. Check how they were written.")
    if not seen:
        raise DataError(f"The feature {data.label!r} has no values. Check data.label.")
    if len(seen) < 2 and num_records < _SCANNED_ROWS:
        raise _one_class(f"one value of the feature {data.label!r}, {seen.pop()!r}")
    if data.image is not None:
        return Inputs(kind="image", size=data.size, channels=data.channels)
    sample = look_at(first.select([str(data.vector)]), first.schema.names)
    columns = choose(data.vector, "data.vector", sample, {})
    return Inputs(kind="vector", columns=columns)


def _check_features(batch: pa.RecordBatch, data: TFRecords) -> None:
    parts = {"label": data.label, "image": data.image, "vector": data.vector}
    parts |= {"id": data.id, "group": data.group}
    for part, feature in parts.items():
        if feature is not None:
            find_column(feature, batch.schema.names, f"data.{part}")
    if data.vector is not None:
        if data.vector == data.label:
            raise ConfigError(f"data.vector: the feature {data.vector!r} is data.label already.")
        if data.vector in RESERVED:
            raise ConfigError(
                f"data.vector: a vector cannot be named {data.vector!r}: this name is Diptych's "
                f"own ({', '.join(RESERVED)}). Rename the feature."
            )
        kind = batch.schema.field(data.vector).type
        if not values.is_list(kind) or not values.is_number(kind.value_type):
            raise ConfigError(f"data.vector: the feature {data.vector!r} does not hold numbers.")
    if data.image is not None:
        cells = single_values(batch, data.image)
        if not values.is_text(cells.type) or cells.null_count == len(cells):
            raise ConfigError(
                f"data.image: the feature {data.image!r} must hold one encoded image (bytes)."
            )


def first_rows(found: Found) -> tuple[Sample, pa.RecordBatch]:
    """The first rows of the first file that has any, and what their columns hold.

    Raises:
      DataError: no file has rows.
    """
    for file in found.files:
        path = found.root / file.name
        names = read_schema(path).names
        single = [name for name in names if names.count(name) == 1]
        for rows in read_rows(path, single, batch_size=_SAMPLE_ROWS) if single else ():
            if rows.batch.num_rows:
                batch = rows.batch.slice(0, _SAMPLE_ROWS)
                return look_at(batch, names), batch
    raise DataError(
        f"The data in {found.root} have no rows (0 in {len(found.files)} files). "
        "Check data.path and how the data were written."
    )


def _taken(data: Table | PairTable, parts: dict[str, str], sample: Sample) -> dict[str, str]:
    """Columns that have a part other than the vector, and which."""
    parts |= {f"data.{key}": getattr(data, key) for key in ("id", "group") if getattr(data, key)}
    taken: dict[str, str] = {}
    for part, name in parts.items():
        find_column(name, sample.names, part)
        if sample.names.count(name) > 1:
            raise DataError(f"Several columns are named {name!r} ({part}). Rename them.")
        if name in sample.widths:
            raise ConfigError(
                f"{part}: the column {name!r} holds lists. Name one with single values."
            )
        # id and group may be the same column, label and group may not: the latter says nothing new.
        taken.setdefault(name, part)
    return taken


def _has_prefix(choice: str | Sequence[str] | int | None) -> bool:
    patterns = [choice] if isinstance(choice, str) else choice
    return isinstance(patterns, list) and any(pattern.endswith("*") for pattern in patterns)


def _check_files(found: Found, sample: Sample, needed: Sequence[str], whole: bool) -> None:
    """Raises DataError if a file lacks a column; ``whole``: or has others than the first."""
    for file in found.files:
        path = found.root / file.name
        names = read_schema(path).names
        if not names:
            continue
        check_columns(path, names, needed)
        differing = sorted(set(names) ^ set(sample.names))
        if whole and differing:
            raise DataError(
                f"{path} has other columns than the first file: {listed(differing)} are in one of "
                "them only. Name the columns of the vector, or write the files alike."
            )


def _texts(parts: _Parts, column: str, same: bool = False) -> Iterator[pa.Array]:
    read = values.same_text if same else values.as_text
    for rows in _of_each_file(parts, lambda path: read_rows(path, [column], batch_size=65536)):
        yield read(rows.batch.column(column))


def _of_each_file(parts: _Parts, read: Callable[[Path], Iterator[_T]]) -> Iterator[_T]:
    """What is read of each file, the newest span first; older ones as far as they can be read."""
    for part in reversed(parts):
        with contextlib.suppress(*(() if part is parts[-1] else (DataError,))):
            for file in part.files:
                if file.size:
                    yield from read(part.root / file.name)


def _one_class(what: str) -> DataError:
    return DataError(f"At least 2 classes are needed, got {what}. Check the labels, or add data.")
