"""Read tables with a label column, and the vector in numeric columns or one list column."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.common.cell_values import find_text_forms
from diptych.components.common.row_parsing import (
    encode_text,
    no_rejections,
    parse_text_column,
    parse_vector_columns,
    split_rejected,
)
from diptych.components.common.table_rows import TextSettings, read_table_rows
from diptych.components.example_gen.example_batch import (
    ExampleBatch,
    bytes_feature,
    compute_ids,
    list_feature,
)
from diptych.components.example_gen.given_splits import select_split_keys
from diptych.components.example_gen.row_roles import parse_row_roles, role_columns
from diptych.schemas.config.data import PairTable, Table
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.input_spec import ID, LABEL, SOURCE, Column, InputSpec


def read_vector_table(
    root: Path,
    name: str,
    row_groups: Sequence[int] | None,
    data: Table,
    inputs: InputSpec,
    split: SplitConfig,
) -> Iterator[ExampleBatch]:
    """Read a file of vectors; ``row_groups`` of a Parquet file, None for all.

    Raises:
      DataError: If a column is missing, or the file is damaged.
    """
    names = required_columns(data, [data.label], inputs.columns)
    settings = TextSettings.from_config(data)
    for rows in read_table_rows(root / name, names, row_groups, settings=settings):
        reasons = no_rejections(rows)
        label = parse_text_column(rows, data.label, reasons)
        row_roles = parse_row_roles(rows, name, data, split, reasons)
        vector = parse_vector_columns(rows, inputs.columns, reasons)
        usable, sources, rejected = split_rejected(name, rows, reasons)
        vector = vector[usable]
        roles = row_roles.select(usable)
        ids = compute_ids(vector) if roles.ids is None else roles.ids
        labels = encode_text(label, usable)
        features = {
            **vector_features(vector, inputs.columns),
            LABEL: bytes_feature(labels),
            ID: bytes_feature(ids),
            SOURCE: bytes_feature(sources),
        }
        yield ExampleBatch(
            pa.record_batch(features),
            select_split_keys(split, labels, roles.groups) or [i.encode() for i in ids],
            rejected,
            given_splits=roles.given_splits,
            times=roles.times,
            label_forms=find_text_forms(rows.batch.column(data.label), rows.cells),
        )


def required_columns(
    data: Table | PairTable, first: Sequence[str], *columns: Sequence[Column]
) -> list[str]:
    """List the columns to read, each once."""
    vector = (column.name for group in columns for column in group)
    return list(dict.fromkeys([*first, *role_columns(data), *vector]))


def vector_features(
    matrix: npt.NDArray[np.float32], columns: Sequence[Column]
) -> dict[str, pa.Array]:
    """Convert a matrix to one float feature per column."""
    features, start = {}, 0
    for column in columns:
        values = np.ascontiguousarray(matrix[:, start : start + column.width]).ravel()
        features[column.name] = list_feature(pa.array(values, pa.float32()), column.width)
        start += column.width
    return features
