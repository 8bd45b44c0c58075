"""Tables: a label, and the vector in numeric columns or one list column."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.example_gen import values
from diptych.components.example_gen.chunk import Chunk, bytes_feature, content_ids, lists_of
from diptych.components.example_gen.rows import Rows, read_rows
from diptych.schemas.config import PairTable, Split, Table
from diptych.schemas.inputs import ID, LABEL, SOURCE, Column, Inputs

Reasons = npt.NDArray[np.object_]


def read_table(
    root: Path,
    name: str,
    row_groups: Sequence[int] | None,
    data: Table,
    inputs: Inputs,
    split: Split,
) -> Iterator[Chunk]:
    """Reads a file of vectors; ``row_groups`` of a Parquet file, None for all.

    Raises:
      DataError: a column is not there, or the file is damaged.
    """
    wanted = wanted_columns(data, [data.label], inputs.columns)
    for rows in read_rows(root / name, wanted, row_groups):
        reasons = no_reasons(rows)
        label = read_text(rows, data.label, reasons)
        key = read_text(rows, data.id, reasons) if data.id else None
        group = read_text(rows, data.group, reasons) if split.by == "group" and data.group else None
        vector = read_vectors(rows, inputs.columns, reasons)
        good, sources, rejected = sort_out(name, rows, reasons)
        vector = vector[good]
        ids = content_ids(vector if key is None else encoded(key, good))
        labels = encoded(label, good)
        features = {
            **vector_features(vector, inputs.columns),
            LABEL: bytes_feature(labels),
            ID: bytes_feature(ids),
            SOURCE: bytes_feature(sources),
        }
        keys = [i.encode() for i in ids]
        if split.by == "class":
            keys = labels
        elif group is not None:
            keys = encoded(group, good)
        yield Chunk(pa.record_batch(features), keys, rejected)


def wanted_columns(
    data: Table | PairTable, first: Sequence[str], *columns: Sequence[Column]
) -> list[str]:
    """Names of the columns to read, each once."""
    extra = [name for name in (data.id, data.group) if name]
    return list(
        dict.fromkeys([*first, *extra, *(column.name for part in columns for column in part)])
    )


def no_reasons(rows: Rows) -> Reasons:
    """(n,) None each; filled with the reason of each row that is set aside."""
    return np.full(rows.batch.num_rows, None, object)


def read_text(rows: Rows, column: str, reasons: Reasons) -> pa.Array:
    """The canonical text of a column; rows without any get a reason."""
    text = values.as_text(rows.batch.column(column))
    missing = text.is_null().to_numpy(zero_copy_only=False)
    give_reason(reasons, missing, values.reason(column, values.MISSING))
    return text


def read_vectors(
    rows: Rows, columns: Sequence[Column], reasons: Reasons
) -> npt.NDArray[np.float32]:
    """(n, sum of widths) float32; rows with a cell that is no number get a reason."""
    matrix = np.empty((rows.batch.num_rows, sum(column.width for column in columns)), np.float32)
    at = 0
    for column in columns:
        cells = rows.batch.column(column.name)
        if values.is_list(cells.type):
            part, problems = values.as_vectors(cells, column.width)
            matrix[:, at : at + column.width] = part
        else:
            matrix[:, at], problems = values.as_floats(cells)
        at += column.width
        for problem in np.unique(problems[problems != values.OK]):
            give_reason(reasons, problems == problem, values.reason(column.name, int(problem)))
    return matrix


def sort_out(
    name: str, rows: Rows, reasons: Reasons
) -> tuple[npt.NDArray[np.bool_], list[str], list[tuple[str, str]]]:
    """Which rows are good, where they come from, and which are rejected, why."""
    good = np.array([reason is None for reason in reasons], bool)
    sources = [f"{name}:{number}" for number in rows.numbers[good]]
    rejected = [
        (f"{name}:{number}", str(reason))
        for number, reason in zip(rows.numbers[~good], reasons[~good], strict=True)
    ]
    rejected += [(f"{name}:{number}", reason) for number, reason in rows.broken]
    return good, sources, rejected


def encoded(text: pa.Array, good: npt.NDArray[np.bool_]) -> list[bytes]:
    """UTF-8 of the good rows."""
    found: list[bytes] = text.filter(pa.array(good)).cast(pa.binary()).to_pylist()
    return found


def vector_features(
    matrix: npt.NDArray[np.float32], columns: Sequence[Column]
) -> dict[str, pa.Array]:
    """Each column as its own float feature."""
    features, at = {}, 0
    for column in columns:
        part = np.ascontiguousarray(matrix[:, at : at + column.width]).ravel()
        features[column.name] = lists_of(pa.array(part, pa.float32()), column.width)
        at += column.width
    return features


def give_reason(reasons: Reasons, where: npt.NDArray[np.bool_], reason: str) -> None:
    """Gives some rows a reason to be set aside, where they have none yet."""
    for row in np.flatnonzero(where):
        if reasons[row] is None:  # the first reason stays
            reasons[row] = reason
