"""Guess the roles of columns that are not part of the input: label, same, split and group."""

import collections
import contextlib
import re
from collections.abc import Collection, Iterable
from typing import Any

import pyarrow as pa

from diptych.components.common import cell_values as values
from diptych.components.common.split_names import parse_split_name, states_splits
from diptych.components.common.table_rows import TextSettings, format_names, read_table_rows
from diptych.components.example_gen.columns import ColumnSample
from diptych.components.example_gen.path_levels import is_split_level
from diptych.components.example_gen.profile.data_profile import (
    LABEL_NAMES,
    MAX_COUNTED_ROWS,
    DataProfile,
)
from diptych.components.example_gen.span_files import SpanFiles
from diptych.schemas.errors import DataError

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
_SAME_VALUES: dict[str, int | str] = {
    "1": 1,
    "yes": "yes",
    "same": "same",
    "match": "match",
    "y": "y",
}
_ID_NAME = re.compile(r"(?:.*[_. -])?(?i:id|idx|index|key|number|nr|no|row)|.*[a-z](?:Id|ID)")
_MIN_COUNTED_ROWS = 20
_SPLIT_COLUMN_NAMES = ("split", "subset", "partition")
_UNCLEAR_SPLIT_NAMES = (*_SPLIT_COLUMN_NAMES, "fold", "is_train", "is_test", "is_val", "is_valid")
_TIME_NAMES = ("date", "time", "datetime", "timestamp", "created", "created_at", "recorded_at")
_GROUP_NAMES = (
    *("group", "group_id", "writer", "author", "annotator", "speaker", "patient", "subject"),
    *("user", "session", "camera", "device", "site", "location", "batch", "scene"),
)


def guess_same_column(sample: ColumnSample, batch: pa.RecordBatch) -> tuple[str | None, bool]:
    """Find a column with two values and a typical name; and whether the name is conclusive.

    A part of a name, as in same_person, or the usual name of a label is not conclusive.
    """
    exact, partial, labels = [], [], []
    for name in sample.names:
        if name.lower() in _SAME_NAMES:
            exact.append(name)
        elif not set(_SAME_NAMES).isdisjoint(re.split(r"[\W_]+", name.lower())):
            partial.append(name)
        elif name.lower() in LABEL_NAMES:
            labels.append(name)
    for name in (*exact, *partial, *labels):
        texts = distinct_same_texts(batch, name) if name in batch.schema.names else []
        lowered = {text.lower() for text in texts}
        if len(lowered) == 2 and lowered & set(_SAME_VALUES):
            return name, name in exact
    return None, False


def distinct_same_texts(batch: pa.RecordBatch, name: str) -> list[str]:
    """Return the distinct texts of a same column, sorted; none if its cells have no text."""
    if not _has_text(batch, name):
        return []
    texts = values.as_same_text(batch.column(name)).unique().to_pylist()
    return sorted(text for text in texts if text is not None)


def guess_label_column(
    sample: ColumnSample, batch: pa.RecordBatch, taken: Collection[str | None] = ()
) -> tuple[str, bool]:
    """Guess the label column; and whether its name or the lack of others is conclusive.

    Columns with a usual name of a group are the label only if no other column can be.
    """
    groups = [name for name in sample.names if name.lower() in _GROUP_NAMES]
    with contextlib.suppress(DataError):
        label, is_certain = _guess_label_among(sample, batch, {*taken, *groups})
        if is_certain:
            return label, is_certain
    return _guess_label_among(sample, batch, taken)


def _guess_label_among(
    sample: ColumnSample, batch: pa.RecordBatch, taken: Collection[str | None]
) -> tuple[str, bool]:
    names = [
        name
        for name in sample.names
        if name not in sample.list_widths
        and name not in taken
        and name in batch.schema.names
        and values.can_be_text(batch.schema.field(name).type)
    ]
    for wanted in LABEL_NAMES:
        for name in names:
            # A measurement named y is not a class.
            if name.lower() == wanted and (
                name not in sample.numeric or is_integer_column(batch, name)
            ):
                return name, True
    few = [
        name for name in names if 2 <= count_distinct(batch, name) <= max(2, batch.num_rows // 2)
    ]
    text_columns = [name for name in few if name not in sample.numeric]
    integer_columns = [
        name for name in few if name in sample.numeric and is_integer_column(batch, name)
    ]
    for candidates in (text_columns, integer_columns):
        if candidates:
            return candidates[-1], len(candidates) == 1 and candidates is text_columns
    if not names:
        raise DataError(f"No column can be a label: {format_names(sample.names)}. Add one.")
    return names[-1], False


def count_distinct(batch: pa.RecordBatch, name: str) -> int:
    """Count the distinct texts of a column; 0 if its cells have no text."""
    if not _has_text(batch, name):
        return 0
    return len(values.as_text(batch.column(name)).unique().drop_null())


def _has_text(batch: pa.RecordBatch, name: str) -> bool:
    """Return whether a column is in the batch, which has no columns of the same name, as text."""
    return name in batch.schema.names and values.can_be_text(batch.schema.field(name).type)


def find_counters(batch: pa.RecordBatch, names: Iterable[str]) -> list[str]:
    """Find the number columns that identify or count the rows, and so describe none of them.

    These are distinct integers that are named like an id, or that are consecutive.
    """
    return [name for name in names if _is_counter(batch, name)]


def _is_counter(batch: pa.RecordBatch, name: str) -> bool:
    for part in (batch.slice(0, _MIN_COUNTED_ROWS), batch):  # most columns are ruled out at once
        if part.num_rows < _MIN_COUNTED_ROWS or count_distinct(part, name) < part.num_rows:
            return False
    if not is_integer_column(batch, name):
        return False
    numbers = list(map(int, values.as_text(batch.column(name)).to_pylist()))
    is_consecutive = max(numbers) - min(numbers) == len(numbers) - 1
    return is_consecutive or _ID_NAME.fullmatch(name) is not None


def is_integer_column(batch: pa.RecordBatch, name: str) -> bool:
    """Return whether all cells are integers."""
    texts = values.as_text(batch.column(name)).unique().drop_null().to_pylist()
    return all(re.fullmatch(r"-?\d+", text) for text in texts)


def count_rows_per_label(
    span_files: SpanFiles, label: str, settings: TextSettings
) -> tuple[collections.Counter[str], bool]:
    """Count the rows of each label; and whether only a part of the rows was counted."""
    counts: collections.Counter[str] = collections.Counter()
    for file in span_files.files:
        path = span_files.root / file.name
        for rows in read_table_rows(path, [label], batch_size=65536, settings=settings):
            text = values.as_text(rows.batch.column(label), rows.cells).drop_null()
            for pair in text.value_counts().to_pylist():
                counts[pair["values"]] += pair["counts"]
            if counts.total() >= MAX_COUNTED_ROWS:
                return counts, True
    return counts, False


def guess_positive_value(batch: pa.RecordBatch, same: str) -> int | str:
    """Guess the value of a same column in positive pairs."""
    texts = distinct_same_texts(batch, same)
    positive = next(
        (value for text, value in _SAME_VALUES.items() if text in map(str.lower, texts)), 1
    )
    if isinstance(positive, str):  # with the capitalization of the data
        return next(text for text in texts if text.lower() == positive)
    return positive


def guess_split_column(sample: ColumnSample, batch: pa.RecordBatch) -> str | None:
    """Find a text column whose values are all names of splits, one of them of training."""
    for name in sample.names:
        if name in batch.schema.names and name not in sample.numeric:
            cells = batch.column(name)
            if values.can_be_text(cells.type):
                texts = values.as_text(cells).unique().drop_null().to_pylist()
                if is_split_level(texts) or _is_split_named(name, texts):
                    return name
    return None


def _is_split_named(name: str, texts: Collection[str]) -> bool:
    """Return whether a column named like a split has training rows; the others may follow later."""
    known = {parse_split_name(text) for text in texts}
    return name.lower() in _SPLIT_COLUMN_NAMES and known == {"train"}


def find_unclear_split(sample: ColumnSample, batch: pa.RecordBatch) -> tuple[str | None, list[str]]:
    """Find a column named like a split, whose values name no splits; and a note about it."""
    for name in sample.names:
        if (
            name.lower() in _UNCLEAR_SPLIT_NAMES
            and name in batch.schema.names
            and values.can_be_text(batch.column(name).type)
        ):
            texts = sorted(values.as_text(batch.column(name)).unique().drop_null().to_pylist())
            return name, [
                f"CHECK: the column {name!r} is named like a split, but its values "
                f"{format_names(texts, 6)} are not names of splits such as train and test. It is "
                "not used. To keep the splits, rename the values, and set "
                f"data.split: {name} and split.by: given."
            ]
    return None, []


def guess_group_column(
    sample: ColumnSample, batch: pa.RecordBatch, taken: Collection[str | None]
) -> str | None:
    """Find a column with a usual name of a group, such as writer, that has a few values."""
    for wanted in _GROUP_NAMES:
        for name in sample.names:
            if (
                name.lower() == wanted
                and name not in taken
                and name in batch.schema.names
                and values.can_be_text(batch.column(name).type)
                and (name not in sample.numeric or is_integer_column(batch, name))
                and 2 <= count_distinct(batch, name) < batch.num_rows
            ):
                return name
    return None


def note_times(sample: ColumnSample, batch: pa.RecordBatch) -> list[str]:
    """Return a note if a column may hold times."""
    for name in sample.names:
        if name in batch.schema.names:
            data_type = batch.schema.field(name).type
            if pa.types.is_temporal(data_type) or name.lower() in _TIME_NAMES:
                return [
                    f"The column {name!r} may be a time. To train on the past and test on the "
                    f"newest data, set data.time: {name} and split.by: time."
                ]
    return []


def describe_group(name: str) -> str:
    """Return a note on a group column."""
    return (
        f"The column {name!r} is the group. To keep the examples of a group in one split, set "
        "split.by: group."
    )


def describe_given_splits(column: str | None, span_files: SpanFiles) -> list[str]:
    """Return a note if a column, or otherwise the names of the files, state the splits."""
    if column is not None:
        return [f"The column {column!r} states the splits (split.by: given)."]
    names = [file.name for file in span_files.files if file.size]
    if states_splits(names):
        return [
            f"The names of the files state the splits (split.by: given): {format_names(names, 4)}."
        ]
    return []


def with_pair_roles(
    data: dict[str, Any],
    span_files: SpanFiles,
    sample: ColumnSample,
    batch: pa.RecordBatch,
    notes: list[str],
) -> DataProfile:
    """Add the splits that the data of given pairs state."""
    split = guess_split_column(sample, batch)
    given = describe_given_splits(split, span_files)
    return DataProfile(
        data if split is None else {**data, "split": split},
        {"split": {"by": "given"}} if given else {},
        [*notes, *note_times(sample, batch), *given],
    )
