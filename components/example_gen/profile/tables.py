"""Profile tables: of vectors with a label column, or of pairs."""

import collections
import dataclasses
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pyarrow as pa

from diptych.components.common import cell_values as values
from diptych.components.common.table_rows import TextSettings, format_names, read_table_rows
from diptych.components.common.tables.file_formats import detect_table_format
from diptych.components.common.tables.text_format import (
    find_fitting_encoding,
    has_suspicious_header,
    uses_decimal_comma,
)
from diptych.components.example_gen.columns import ColumnSample
from diptych.components.example_gen.infer_spec import read_first_rows
from diptych.components.example_gen.profile.data_profile import (
    LABEL_NAMES,
    MAX_COUNTED_ROWS,
    DataProfile,
    with_class_settings,
)
from diptych.components.example_gen.span_files import SpanFiles, find_files
from diptych.schemas.config.data import Table
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import RESERVED

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
_CLEAR_SIDE_NAMES = (("left", "right"), ("first", "second"))
_SIDE_NAMES = (*_CLEAR_SIDE_NAMES, ("a", "b"), ("x1", "x2"), ("1", "2"))


def profile_table(path: str) -> DataProfile:
    """Profile a file, a folder or a pattern of tables, as vectors or as pairs."""
    span_files = find_files(Table(kind="table", path=path, label=""))
    text_keys, text_notes = _profile_text_format(span_files)
    settings = TextSettings.from_keys(text_keys)
    sample, batch = read_first_rows(span_files, settings)
    profile = _profile_pair_table(path, sample, batch) or _profile_vector_table(
        path, span_files, sample, batch, settings
    )
    return dataclasses.replace(
        profile, data={**profile.data, **text_keys}, notes=[*text_notes, *profile.notes]
    )


def _profile_text_format(span_files: SpanFiles) -> tuple[dict[str, Any], list[str]]:
    """Propose the settings of CSV files that are not the defaults, with notes."""
    keys: dict[str, Any] = {}
    notes: list[str] = []
    paths = [span_files.root / file.name for file in span_files.files if file.size]
    paths = [path for path in paths if detect_table_format(path) == "csv"]
    for path in paths:
        encoding = find_fitting_encoding(path)
        if encoding is not None:
            keys["encoding"] = encoding
            notes.append(f"{path.name} is not UTF-8; {encoding} fits.")
            break
    settings = TextSettings.from_keys(keys)
    if paths and uses_decimal_comma(paths[0], settings):
        keys["decimal"] = ","
        notes.append("The decimal sign is a comma.")
    if paths and has_suspicious_header(paths[0], settings):
        notes.append(
            f"CHECK: the first row of {paths[0].name} looks like data. If it does not name the "
            "columns, set data.header: false; the columns are then c1, c2 and so on."
        )
    return keys, notes


def _profile_vector_table(
    path: str,
    span_files: SpanFiles,
    sample: ColumnSample,
    batch: pa.RecordBatch,
    settings: TextSettings,
) -> DataProfile:
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
    counts, is_partial = _count_labels(span_files, label, settings)
    return with_class_settings(data, counts, notes, is_partial)


def _profile_pair_table(
    path: str, sample: ColumnSample, batch: pa.RecordBatch
) -> DataProfile | None:
    same, is_certain = _guess_same_column(sample, batch)
    if same is None:
        return None
    usable = [name for name in sample.names if name in sample.numeric or name in sample.list_widths]
    usable = [name for name in usable if name != same]
    # A column named class with two values is usually the class of a row.
    sides = _find_sides_by_affix(usable, _SIDE_NAMES if is_certain else _CLEAR_SIDE_NAMES)
    if sides is None and is_certain:
        sides = _find_sides_by_number([name for name in usable if name in sample.numeric])
    if sides is None:
        return None
    left, right = sides
    notes = [f"Table of pairs: {same!r} marks positive pairs."]
    if isinstance(left, int):
        notes.append(
            f"CHECK: the first {left} numeric columns are assumed to be the left side, the next "
            f"{right} the right side."
        )
    elif not is_certain:
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
    for candidates, is_certain in ((_SAME_NAMES, True), (LABEL_NAMES, False)):
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


def _find_sides_by_affix(
    names: Sequence[str], side_names: Iterable[tuple[str, str]]
) -> tuple[Any, Any] | None:
    """Find two sides that differ only by a prefix (left_x) or a suffix (x_left)."""
    for left, right in side_names:
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
        if name not in sample.list_widths
        and name in batch.schema.names
        and values.can_be_text(batch.schema.field(name).type)
    ]
    for wanted in LABEL_NAMES:
        for name in names:
            # A measurement named y is no class.
            if name.lower() == wanted and (
                name not in sample.numeric or _is_integer_column(batch, name)
            ):
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


def _count_labels(
    span_files: SpanFiles, label: str, settings: TextSettings
) -> tuple[collections.Counter[str], bool]:
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
