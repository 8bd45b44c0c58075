"""Tables: a label, and the vector in numeric columns or one list column."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.common.cells import encoded, no_reasons, read_text, read_vectors, sort_out
from diptych.components.common.table_rows import read_rows
from diptych.components.example_gen.chunk import Chunk, bytes_feature, content_ids, lists_of
from diptych.schemas.config.data import PairTable, Table
from diptych.schemas.config.split import Split
from diptych.schemas.input_spec import ID, LABEL, SOURCE, Column, Inputs


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
