"""Find which splits the data state, before the examples are read.

Whether calibration is taken from the training examples depends on all data, so it cannot be decided
while a part of them is read. One column, or the names of the files, is read for it.
"""

import contextlib
from collections.abc import Iterator, Sequence

import pyarrow as pa

from diptych.components.common import cell_values as values
from diptych.components.common.cell_values import CellFormat
from diptych.components.common.path_roles import parse_path
from diptych.components.common.split_names import (
    find_split_in_path,
    parse_split_name,
    states_splits,
)
from diptych.components.common.table_rows import TextSettings, read_table_rows
from diptych.components.example_gen.given_splits import check_given_splits
from diptych.components.example_gen.span_files import SpanFiles
from diptych.components.example_gen.tfrecords import decode_examples, read_records, single_values
from diptych.schemas.config.data import DataConfig, ImageFolder, TFRecords
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DataError

MIXED_SPLITS = (
    "file named like a split; its examples are divided again, unless split.by is given and "
    "data.split null"
)

_MAX_NAMES = 1000  # more are an id or a label; the first ones are enough for the message
_DEFAULT_FORMAT = CellFormat()


def find_given_splits(
    spans: Sequence[SpanFiles], data: DataConfig, split: SplitConfig
) -> frozenset[str]:
    """Find the splits that occur in the data; empty unless ``split.by`` is given.

    Unknown names in older spans are ignored here; ExampleGen rejects their rows.

    Raises:
      DataError: If the newest span has a name that is not a split; or if the data have no training
        split, or no other.
    """
    if split.by != "given":
        return frozenset()
    *older, newest = spans
    if isinstance(data, ImageFolder) and data.table is None:
        origin = f"The level split of data.levels ({', '.join(data.levels or ())})"
    elif data.split is None:
        origin = "The set of file names (data.split is not set)"
    else:
        origin = f"The column {data.split!r} (data.split)"
    found: set[str] = set(_collect_names(newest, data))
    for span in older:
        with contextlib.suppress(DataError):
            found |= {name for name in _collect_names(span, data) if parse_split_name(name)}
    return check_given_splits(found, origin)


def list_mixed_splits(span: SpanFiles, split: SplitConfig) -> list[tuple[str, str]]:
    """List the files, with the reason, if their names state splits that a run does not keep."""
    names = [file.name for file in span.files if file.size]
    if split.by == "given" or not states_splits(names):
        return []
    return [(name, MIXED_SPLITS) for name in names]


def _collect_names(span: SpanFiles, data: DataConfig) -> set[str]:
    """Collect the distinct names of splits in a span."""
    found: set[str] = set()
    for names in _iter_names(span, data):
        found |= names
        if len(found) > _MAX_NAMES:
            break
    return found


def _iter_names(span: SpanFiles, data: DataConfig) -> Iterator[set[str]]:
    if isinstance(data, ImageFolder) and data.table is None:
        for file in span.files:
            yield {str(parse_path(file.name, data.levels).split)}
        return
    if data.split is None:
        for file in span.files:
            yield {find_split_in_path(file.name) or file.name}
        return
    column = data.split
    for file in span.files:
        path = span.root / file.name
        if not file.size:
            continue
        if isinstance(data, TFRecords):
            for number, records in read_records(path):
                for _, rows, _ in decode_examples(records, number):
                    if rows is not None:
                        yield _distinct_texts(single_values(rows.batch, column))
        else:
            settings = TextSettings.from_config(data)
            for rows in read_table_rows(path, [column], batch_size=65536, settings=settings):
                yield _distinct_texts(rows.batch.column(column), rows.cells)


def _distinct_texts(cells: pa.Array, cell_format: CellFormat = _DEFAULT_FORMAT) -> set[str]:
    return set(values.as_text(cells, cell_format).unique().drop_null().to_pylist())
