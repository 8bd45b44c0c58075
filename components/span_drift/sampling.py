"""A sample of the examples of the spans, which is the same however the work is cut up."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from diptych.schemas.input_spec import ID, IMAGE, LABEL, SAME, SOURCE, Inputs

NEWEST, BEFORE, EARLIER = range(3)  # groups of spans: the newest, the one before it, the others
IMAGE_BYTES = "image_bytes (log2)"
_PLACE, _GROUP = "place", "group"  # columns of a sample, beside those that are compared
_NUM_VALUES, _NUM_EXAMPLES = 2**24, 20_000  # 64 MB of numbers; more examples tell no more


def sample_size(inputs: Inputs) -> int:
    """How many examples of a group are compared: all, or as many of them."""
    width = sum(column.width for column in (*inputs.columns, *inputs.right_columns))
    return min(_NUM_EXAMPLES, _NUM_VALUES // max(width, 1))


def features_of(batch: pa.RecordBatch, inputs: Inputs, spans: Sequence[str]) -> pa.Table:
    """What is compared of some raw examples, with a group and a place in a fixed random order.

    Args:
      batch: raw examples; a list column a feature.
      inputs: their features.
      spans: names, the newest last.

    Returns:
      The label (or, of pairs, whether they are the same) as text, numbers as they are, and of an
      image the size of its file: as the logarithm, so that a large one hides no change.
    """
    sources = batch.column(SOURCE).flatten().to_pylist()
    ids = batch.column(ID).flatten().to_pylist()
    keys = [b"\0".join(pair) for pair in zip(ids, sources, strict=True)]
    places = [hashlib.blake2b(key, digest_size=8).digest() for key in keys]
    if inputs.paired:
        label, text = SAME, batch.column(SAME).flatten().cast(pa.string())
    else:
        label, text = LABEL, batch.column(LABEL).flatten()
    columns: dict[str, pa.Array] = {
        _PLACE: pa.array([int.from_bytes(place, "little") for place in places], pa.uint64()),
        _GROUP: pa.array(_groups(sources, spans)),
        label: _as_lists(text.cast(pa.binary())),
    }
    if inputs.kind == "image":
        sizes = pc.binary_length(batch.column(IMAGE).flatten()).cast(pa.float32())
        columns[IMAGE_BYTES] = _as_lists(pc.log2(sizes))
    for column in (*inputs.columns, *inputs.right_columns):
        columns[column.name] = batch.column(column.name)
    return pa.table(columns)


def first_of_each_group(tables: Iterable[pa.Table], limit: int) -> pa.Table:
    """The first rows of each group, in the order of their places; the same in any order."""
    together = pa.concat_tables(tables).sort_by([(_GROUP, "ascending"), (_PLACE, "ascending")])
    groups = together[_GROUP].to_numpy()
    rank = np.arange(len(groups)) - np.searchsorted(groups, groups)
    return together.filter(pa.array(rank < limit))


def sample_of(tables: Iterable[pa.Table], limit: int) -> pa.Table | None:
    """The same of many tables, sorting as many at a time as the sample is large; None of none."""
    gathered: list[pa.Table] = []
    unsorted = 0
    for table in tables:
        gathered.append(table)
        unsorted += len(table)
        if unsorted > limit:
            gathered, unsorted = [first_of_each_group(gathered, limit)], 0
    return first_of_each_group(gathered, limit) if gathered else None


def rows_of(sample: pa.Table, groups: Sequence[int], limit: int) -> pa.RecordBatch:
    """The features of some groups together, at most ``limit`` rows."""
    wanted = sample.filter(pc.is_in(sample[_GROUP], pa.array(groups)))
    chosen = wanted.sort_by(_PLACE).slice(0, limit).drop_columns([_PLACE, _GROUP])
    return pa.RecordBatch.from_struct_array(chosen.to_struct_array().combine_chunks())


def _groups(sources: Sequence[bytes], spans: Sequence[str]) -> npt.NDArray[np.int64]:
    of_span = dict.fromkeys((span.encode() for span in spans[:-2]), EARLIER)
    of_span.update(zip((span.encode() for span in spans[-2:]), (BEFORE, NEWEST), strict=True))
    return np.array([of_span[source.partition(b"/")[0]] for source in sources], np.int64)


def _as_lists(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1), pa.int32()), values)
