"""Corrected labels, ``data.corrections``: a CSV file that changes labels or removes examples."""

import collections
import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.common.cell_values import CellFormat, as_text
from diptych.components.common.label_text import normalize_text
from diptych.components.common.table_rows import format_names, read_schema, read_table_rows
from diptych.components.example_gen.example_batch import (
    ExampleBatch,
    bytes_feature,
    compute_ids,
    list_feature,
)
from diptych.schemas.config.data import DataConfig, ImageFolder, PairTable
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.data_report import Corrections
from diptych.schemas.errors import ConfigError, DataError
from diptych.schemas.input_spec import ID, LABEL, SAME, SOURCE
from diptych.schemas.rejected_rows import ReasonCount

REMOVED_REASON = "removed by data.corrections"
_REMOVE = "remove"
_MAX_UNKNOWN_SHOWN = 20


@dataclasses.dataclass(frozen=True)
class CorrectionTable:
    """Rows of the file.

    Attributes:
      names: (n,) source, or the id if the row has no source.
      by_source: (n,) True if the name is a source.
      labels: (n,) new label; an empty one, or ``remove``, removes the example.
    """

    names: Sequence[str]
    by_source: Sequence[bool]
    labels: Sequence[str]


@dataclasses.dataclass(frozen=True)
class CorrectedBatch:
    """A batch after corrections.

    Attributes:
      batch: The batch with corrected labels, without removed examples.
      matched: Rows of the file that match an example.
      relabelled: Number of examples with another label than before, by their new label.
      removed: Count and first source of the removed examples; None without any.
    """

    batch: ExampleBatch
    matched: tuple[int, ...] = ()
    relabelled: Mapping[str, int] = dataclasses.field(default_factory=dict)
    removed: ReasonCount | None = None


def read_corrections(data: DataConfig) -> CorrectionTable:
    """Read ``data.corrections``, which is not None; again only if it has changed.

    Raises:
      ConfigError: If the file or a column is missing, or a row has no name or contradicts another.
    """
    path = str(data.corrections)
    try:
        status = os.stat(path)
    except OSError as error:
        raise ConfigError(f"Cannot read data.corrections {path}: {error.strerror}.") from error
    has_folders = isinstance(data, ImageFolder) and data.table is None
    state = (status.st_mtime_ns, status.st_size)
    return _read_corrections(path, data.kind == "pairs", has_folders, state)


@functools.lru_cache(maxsize=1)
def _read_corrections(
    path: str, has_pairs: bool, has_folders: bool, state: tuple[int, int]
) -> CorrectionTable:
    del state  # a part of the key of the cache
    try:
        columns, row_numbers = _read_columns(Path(path))
    except (DataError, pa.ArrowInvalid) as error:
        problem = " ".join(str(error).split()).rstrip(".")
        raise ConfigError(
            f"data.corrections {path} cannot be read: {problem}. Expected a CSV file in UTF-8 "
            "with the same number of fields in each row."
        ) from error
    if "label" not in columns or not {"source", "id"} & set(columns):
        raise ConfigError(
            f"data.corrections {path} needs the column label, and source or id, got: "
            f"{format_names(list(columns)) or 'no columns'}."
        )
    blank = [""] * len(row_numbers)
    sources = columns.get("source", blank)
    ids = [text.strip() for text in columns.get("id", blank)]
    by_source = [source != "" for source in sources]
    names = [source or example_id for source, example_id in zip(sources, ids, strict=True)]
    texts = [normalize_text(text) for text in columns["label"]]
    if not has_folders:  # the names of folders are labels as they are; cells have a canonical text
        texts = as_text(pa.array(texts, pa.string()), CellFormat(missing=())).to_pylist()
    labels = [_parse_label(text, path, has_pairs) for text in texts]
    seen: dict[tuple[str, bool], str] = {}
    for number, name, is_source, label in zip(row_numbers, names, by_source, labels, strict=True):
        if not name:
            raise ConfigError(
                f"data.corrections {path}: row {number} has neither a source nor an id. "
                "Name the example, or remove the row."
            )
        if seen.setdefault((name, is_source), label) != label:
            raise ConfigError(
                f"data.corrections {path}: {name!r} has two different labels, "
                f"{seen[name, is_source]!r} and {label!r}. Keep one of the rows."
            )
    return CorrectionTable(names, by_source, labels)


def _read_columns(path: Path) -> tuple[dict[str, list[str]], list[int]]:
    """Read the text of all columns by name, and the number of each row.

    Raises:
      DataError: If the file is no table, a column occurs twice, or a row has another number of
        fields than the header.
      pa.ArrowInvalid: If a cell is not UTF-8.
    """
    names = read_schema(path).names
    columns: dict[str, list[str]] = {name: [] for name in names}
    row_numbers: list[int] = []
    for rows in read_table_rows(path, names):
        if rows.malformed:
            number, reason = rows.malformed[0]
            raise DataError(f"row {number}: {reason}")
        row_numbers += rows.row_numbers.tolist()
        for name in names:
            cells = rows.batch.column(name).cast(pa.string()).fill_null("")
            columns[name] += cells.to_pylist()
    return columns, row_numbers


def _parse_label(label: str | None, path: str, has_pairs: bool) -> str:
    if label in (None, "", _REMOVE):
        return label or ""
    if has_pairs and label not in ("positive", "negative"):
        raise ConfigError(
            f"data.corrections {path}: the label of a pair must be positive, negative or empty "
            f"(to remove the pair), got {label!r}."
        )
    return label


def correct_batch(batch: ExampleBatch, data: DataConfig, split: SplitConfig) -> CorrectedBatch:
    """Apply ``data.corrections`` to a batch, whose sources start with the name of the span."""
    if data.corrections is None:
        return CorrectedBatch(batch)
    table = read_corrections(data)
    features = batch.features
    rows_of_file = np.full(features.num_rows, -1)
    for is_source, feature in ((False, ID), (True, SOURCE)):
        chosen = np.flatnonzero(np.array(table.by_source, bool) == is_source)
        known = [table.names[int(row)].encode() for row in chosen]
        if not is_source:  # an id is a hash of the content, or of the key in data.id
            known += [key.encode() for key in compute_ids(known)]
            chosen = np.tile(chosen, 2)
        values = pa.array(known, pa.binary())
        found = pc.index_in(features.column(feature).flatten(), value_set=values)
        hits = found.is_valid().to_numpy(zero_copy_only=False)
        rows_of_file[hits] = chosen[found.filter(found.is_valid()).to_numpy()]
    matched = np.flatnonzero(rows_of_file >= 0)
    if not len(matched):
        return CorrectedBatch(batch)
    column = SAME if isinstance(data, PairTable) else LABEL
    labels = features.column(column).flatten().to_pylist()
    sources = features.column(SOURCE).flatten().to_pylist()
    split_keys = list(batch.split_keys)
    kept = np.ones(features.num_rows, bool)
    num_by_label: collections.Counter[str] = collections.Counter()
    for row in matched:
        label = table.labels[rows_of_file[row]]
        # A class may be named "remove": an unchanged row has no effect.
        if label == "" or (label == _REMOVE and labels[row] != _REMOVE.encode()):
            kept[row] = False
            continue
        new = int(label == "positive") if column == SAME else label.encode()
        if new != labels[row]:
            labels[row] = new
            num_by_label[label] += 1
            if split.by == "class":
                split_keys[row] = label.encode()
    corrected = (
        list_feature(pa.array(labels, pa.int64()), 1) if column == SAME else bytes_feature(labels)
    )
    index = features.schema.get_field_index(column)
    relabelled = dataclasses.replace(
        batch, features=features.set_column(index, column, corrected), split_keys=split_keys
    )
    removed = [sources[row].decode(errors="replace") for row in np.flatnonzero(~kept)]
    return CorrectedBatch(
        relabelled if kept.all() else relabelled.filter(kept),
        tuple(sorted({int(row) for row in rows_of_file[matched]})),
        dict(num_by_label),
        ReasonCount(count=len(removed), source=min(removed)) if removed else None,
    )


def summarize_corrections(
    table: CorrectionTable,
    matched: set[int],
    num_relabelled: int,
    num_removed: int,
    new_labels: Sequence[str],
) -> Corrections:
    """Count the effect of the file, and name rows that match no example."""
    unknown = sorted({name for row, name in enumerate(table.names) if row not in matched})
    return Corrections(
        num_relabelled=num_relabelled,
        num_removed=num_removed,
        num_unknown=len(unknown),
        unknown=tuple(unknown[:_MAX_UNKNOWN_SHOWN]),
        new_labels=tuple(new_labels[:_MAX_UNKNOWN_SHOWN]),
    )
