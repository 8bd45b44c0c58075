"""Profile tables: of vectors with a label column, or of pairs."""

import dataclasses
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from diptych.components.common.table_rows import TextSettings, format_names
from diptych.components.common.tables.file_formats import detect_table_format
from diptych.components.common.tables.text_format import (
    check_encoding,
    find_fitting_encoding,
    has_suspicious_header,
    uses_decimal_comma,
)
from diptych.components.example_gen.columns import INDEX_COLUMNS, ColumnSample
from diptych.components.example_gen.first_rows import read_first_rows
from diptych.components.example_gen.profile.data_profile import (
    DataProfile,
    count_noun,
    with_class_settings,
)
from diptych.components.example_gen.profile.image_tables import profile_image_table
from diptych.components.example_gen.profile.roles import (
    count_distinct,
    count_rows_per_label,
    describe_given_splits,
    describe_group,
    find_counters,
    find_unclear_split,
    guess_group_column,
    guess_label_column,
    guess_positive_value,
    guess_same_column,
    guess_split_column,
    note_times,
    with_pair_roles,
)
from diptych.components.example_gen.span_files import SpanFiles, find_files
from diptych.components.example_gen.unused_columns import explain_unused
from diptych.schemas.config.data import Table
from diptych.schemas.input_spec import RESERVED

_CLEAR_SIDE_NAMES = (("left", "right"), ("first", "second"))
_SIDE_NAMES = (*_CLEAR_SIDE_NAMES, ("a", "b"), ("x1", "x2"), ("1", "2"))
_SEPARATORS = ("_", ".", "-", " ")


def profile_table(path: str) -> DataProfile:
    """Profile a file, a folder or a pattern of tables, as vectors or as pairs."""
    span_files = find_files(Table(kind="table", path=path, label=""))
    text_keys, text_notes = _profile_text_format(span_files)
    settings = TextSettings.from_keys(text_keys)
    sample, batch = read_first_rows(span_files, settings)
    profile = (
        profile_image_table(path, span_files, sample, batch, settings)
        or _profile_pair_table(path, span_files, sample, batch)
        or _profile_vector_table(path, span_files, sample, batch, settings)
    )
    notes = [*text_notes, *profile.notes]
    has_images = profile.data["kind"] == "images" or "size" in profile.data
    if span_files.ignored and not has_images:  # next to a list of images are the images
        name, reason = span_files.ignored[0]
        notes.append(f"{len(span_files.ignored)} files are ignored, such as {name!r}: {reason}.")
    return dataclasses.replace(profile, data={**profile.data, **text_keys}, notes=notes)


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
            notes.append(f"{path.name} is not UTF-8; data.encoding: {encoding} fits.")
            break
        check_encoding(path, TextSettings())  # nothing fits what is not UTF-8
    settings = TextSettings.from_keys(keys)
    if paths and uses_decimal_comma(paths[0], settings):
        keys["decimal"] = ","
        notes.append("The decimal sign is a comma.")
    if paths and has_suspicious_header(paths[0], settings):
        keys["header"] = False
        notes.append(
            f"CHECK: the first row of {paths[0].name} looks like data, so data.header is false and "
            "the columns are c1, c2 and so on. If it names the columns, set data.header: true and "
            "use these names."
        )
    return keys, notes


def _profile_vector_table(
    path: str,
    span_files: SpanFiles,
    sample: ColumnSample,
    batch: pa.RecordBatch,
    settings: TextSettings,
) -> DataProfile:
    split = guess_split_column(sample, batch)
    unclear, notes = (None, []) if split else find_unclear_split(sample, batch)
    label, is_certain = guess_label_column(sample, batch, [split, unclear])
    if not is_certain:
        notes.append(f"CHECK: the label column {label!r} is a guess.")
    data: dict[str, Any] = {"kind": "table", "path": path, "label": label}
    if split is not None:
        data["split"] = split
    given = describe_given_splits(split, span_files)
    notes += [*given, *note_times(sample, batch)]
    group = guess_group_column(sample, batch, [label, split])
    if group is not None:
        data["group"] = group
        notes.append(describe_group(group))
    taken = (label, group)
    lists = [name for name in sample.list_widths if name not in taken]
    numeric = [name for name in sample.names if name in sample.numeric and name not in taken]
    ids = [name for name in sample.names if name.lower() == "id" and name != label]
    key = next((name for name in ids if count_distinct(batch, name) == batch.num_rows), None)
    if key is not None:
        data["id"] = key
        numeric = [name for name in numeric if name != key]
    if lists:
        data["columns"] = max(lists, key=lambda name: sample.list_widths[name])
        notes.append(f"The vector is the list column {data['columns']!r}.")
        vector = [data["columns"]]
    else:
        vector = [name for name in numeric if name not in (*RESERVED, *INDEX_COLUMNS, unclear)]
        counters = find_counters(batch, vector)
        if counters and len(counters) < len(vector):
            vector = [name for name in vector if name not in counters]
            notes.append(
                "CHECK: not part of the vector, because they are ids or numbers of the rows: "
                f"{format_names(counters, 6)}."
            )
        if len(vector) < len(set(numeric) - set(INDEX_COLUMNS)):
            data["columns"] = vector
        if vector:
            numeric_columns = count_noun(len(vector), "numeric column")
            notes.append(f"The vector has {numeric_columns}: {format_names(vector, 6)}.")
    roles = [data[key] for key in ("label", "id", "group", "split") if data.get(key)]
    notes += _list_unused(sample, batch, [*roles, *vector])
    counts, is_partial = count_rows_per_label(span_files, label, settings)
    return with_class_settings(data, counts, notes, is_partial, bool(given))


def _list_unused(
    sample: ColumnSample, batch: pa.RecordBatch, used: Collection[str]
) -> Iterator[str]:
    """Yield a note for each reason why columns are not used."""
    by_reason: dict[str, list[str]] = {}
    for name, reason in explain_unused(sample, batch, used):
        by_reason.setdefault(reason, []).append(name)
    for reason, names in by_reason.items():
        yield f"Not used: {format_names(names, 6)} ({reason})."


def _profile_pair_table(
    path: str, span_files: SpanFiles, sample: ColumnSample, batch: pa.RecordBatch
) -> DataProfile | None:
    same, is_certain = guess_same_column(sample, batch)
    if same is None:
        return None
    usable = [name for name in sample.names if name in sample.numeric or name in sample.list_widths]
    usable = [name for name in usable if name != same]
    # A column named class with two values is usually the class of a row.
    sides = _find_sides_by_affix(usable, _SIDE_NAMES if is_certain else _CLEAR_SIDE_NAMES)
    notes = [f"Table of pairs: {same!r} marks positive pairs."]
    left: str | list[str] | int
    right: str | list[str] | int
    if sides is not None:
        left, right = (_shorten_to_prefix(side, sample.names) for side in sides)
        if not is_certain:
            notes.append(f"CHECK: if {same!r} is the class of a row, use kind: table instead.")
    else:
        numeric = [name for name in usable if name in sample.numeric]
        if not is_certain or not _has_numbered_halves(numeric):
            return None
        left = right = middle = len(numeric) // 2
        sides = numeric[:middle], numeric[middle:]
        notes.append(
            f"CHECK: the first {left} numeric columns are assumed to be the left side, the next "
            f"{right} the right side."
        )
    data: dict[str, Any] = {"kind": "pairs", "path": path, "same": same}
    data |= {"left": left, "right": right}
    data["same_value"] = guess_positive_value(batch, same)
    profile = with_pair_roles(data, span_files, sample, batch, notes)
    used = [same, *sides[0], *sides[1], *([split] if (split := profile.data.get("split")) else [])]
    return dataclasses.replace(profile, notes=[*profile.notes, *_list_unused(sample, batch, used)])


def _find_sides_by_affix(
    names: Sequence[str], side_names: Iterable[tuple[str, str]]
) -> tuple[list[str], list[str]] | None:
    """Find two sides that differ only by a prefix (left_x) or a suffix (x_left), in any case."""
    for sides in side_names:
        # leftX, but not aX
        separators = (*_SEPARATORS, "") if sides in _CLEAR_SIDE_NAMES else _SEPARATORS
        for separator in separators:
            for pattern in ("{0}{1}(?P<stem>.*)", "(?P<stem>.*){1}{0}"):
                left, right = (
                    _find_stems(names, pattern.format(side, re.escape(separator))) for side in sides
                )
                if left and left.keys() == right.keys():
                    return list(left.values()), [right[stem] for stem in left]
    return None


def _find_stems(names: Iterable[str], pattern: str) -> dict[str, str]:
    """Map the stem of each name that fits a pattern to the name."""
    matches = (re.fullmatch(pattern, name, re.IGNORECASE | re.DOTALL) for name in names)
    return {match["stem"]: match[0] for match in matches if match}


def _shorten_to_prefix(side: list[str], names: Sequence[str]) -> str | list[str]:
    """Return a prefix such as ``left_*`` that only these columns have, or the columns."""
    prefix = re.match(r"[^\W_]+[\W_]", side[0])
    if prefix and side == [name for name in names if name.startswith(prefix[0])]:
        return f"{prefix[0]}*"
    return side


def _has_numbered_halves(names: Sequence[str]) -> bool:
    """Return whether columns are numbered consecutively (v0 to v399), so that halves are sides."""
    matches = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    if len(names) < 4 or len(names) % 2 or not all(matches):
        return False
    prefixes = {match.group(1) for match in matches if match}
    numbers = [int(match.group(2)) for match in matches if match]
    return len(prefixes) == 1 and numbers == list(range(numbers[0], numbers[0] + len(numbers)))
