"""Tables that are paired already: left columns, right columns, a same column."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.common import cell_values as values
from diptych.components.common import cells
from diptych.components.common.table_rows import read_rows
from diptych.components.example_gen import tables
from diptych.components.example_gen.chunk import Chunk, bytes_feature, content_ids, lists_of
from diptych.schemas.config.data import PairTable
from diptych.schemas.config.split import Split
from diptych.schemas.input_spec import ID, LEFT_ID, RIGHT_ID, SAME, SOURCE, Inputs

ALIKE = "left and right are one and the same"


def read_pairs(
    root: Path,
    name: str,
    row_groups: Sequence[int] | None,
    data: PairTable,
    inputs: Inputs,
    split: Split,
) -> Iterator[Chunk]:
    """Reads a file of pairs; ``row_groups`` of a Parquet file, None for all.

    A pair of an example with itself is set aside.

    Raises:
      DataError: a column is not there, or the file is damaged.
    """
    wanted = tables.wanted_columns(data, [data.same], inputs.columns, inputs.right_columns)
    alike = alike_text(data.same_value)
    for rows in read_rows(root / name, wanted, row_groups):
        reasons = cells.no_reasons(rows)
        cells.read_text(rows, data.same, reasons)
        key = cells.read_text(rows, data.id, reasons) if data.id else None
        by_group = split.by == "group" and data.group is not None
        group = cells.read_text(rows, str(data.group), reasons) if by_group else None
        left = cells.read_vectors(rows, inputs.columns, reasons)
        right = cells.read_vectors(rows, inputs.right_columns, reasons)
        # At distance 0 whatever the model: nothing to learn if same, a contradiction if different.
        cells.give_reason(reasons, (left == right).all(axis=1), ALIKE)
        good, sources, rejected = cells.sort_out(name, rows, reasons)
        left, right = left[good], right[good]
        same = pc.equal(
            values.same_text(rows.batch.column(data.same)).filter(pa.array(good)), alike
        )
        left_ids, right_ids = content_ids(left), content_ids(right)
        if key is None:
            ids = content_ids((a + b).encode() for a, b in zip(left_ids, right_ids, strict=True))
        else:
            ids = content_ids(cells.encoded(key, good))
        features = {
            **tables.vector_features(left, inputs.columns),
            **tables.vector_features(right, inputs.right_columns),
            SAME: lists_of(same.cast(pa.int64()), 1),
            ID: bytes_feature(ids),
            LEFT_ID: bytes_feature(left_ids),
            RIGHT_ID: bytes_feature(right_ids),
            SOURCE: bytes_feature(sources),
        }
        keys = [i.encode() for i in ids] if group is None else cells.encoded(group, good)
        yield Chunk(pa.record_batch(features), keys, rejected)


def alike_text(same_value: int | str | bool) -> str:
    """The text of the value that means "alike": 1, 1.0, true and True are one."""
    found = values.same_text(pa.array([str(same_value)])).to_pylist()[0]
    return "" if found is None else str(found)
