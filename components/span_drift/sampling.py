"""Sample the examples of the spans, independently of how the work is divided."""

import hashlib
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from diptych.schemas.input_spec import ID, IMAGE, LABEL, SAME, SOURCE, InputSpec

NEWEST, PREVIOUS, EARLIER = range(3)  # groups of spans: the newest, the previous one, all others
IMAGE_BYTES = "image_bytes (log2)"
_SORT_KEY, _GROUP = "sort_key", "group"  # columns of a sample that are not compared
_NUM_VALUES, _NUM_EXAMPLES = 2**24, 20_000  # 64 MB of numbers; more examples add no precision


def max_sample_size(inputs: InputSpec) -> int:
    """Return the maximum number of examples of a group that are compared."""
    width = sum(column.width for column in (*inputs.columns, *inputs.right_columns))
    return min(_NUM_EXAMPLES, _NUM_VALUES // max(width, 1))


def extract_features(batch: pa.RecordBatch, inputs: InputSpec, spans: Sequence[str]) -> pa.Table:
    """Extract the features that are compared, with a group and a random sort key.

    Args:
      batch: Raw examples; one list column per feature.
      inputs: Specification of the features.
      spans: Names, the newest last.

    Returns:
      The label (for given pairs, ``same``) as text; numbers unchanged; for an image, the logarithm
      of its file size, so that a large file does not hide a change.
    """
    sources = batch.column(SOURCE).flatten().to_pylist()
    ids = batch.column(ID).flatten().to_pylist()
    keys = [b"\0".join(pair) for pair in zip(ids, sources, strict=True)]
    sort_keys = [hashlib.blake2b(key, digest_size=8).digest() for key in keys]
    if inputs.paired:
        label, text = SAME, batch.column(SAME).flatten().cast(pa.string())
    else:
        label, text = LABEL, batch.column(LABEL).flatten()
    columns: dict[str, pa.Array] = {
        _SORT_KEY: pa.array(
            [int.from_bytes(sort_key, "little") for sort_key in sort_keys], pa.uint64()
        ),
        _GROUP: pa.array(_assign_groups(sources, spans)),
        label: _wrap_in_lists(text.cast(pa.binary())),
    }
    if inputs.kind == "image":
        sizes = pc.binary_length(batch.column(IMAGE).flatten()).cast(pa.float32())
        columns[IMAGE_BYTES] = _wrap_in_lists(pc.log2(sizes))
    for column in (*inputs.columns, *inputs.right_columns):
        columns[column.name] = batch.column(column.name)
    return pa.table(columns)


def take_first_per_group(tables: Iterable[pa.Table], limit: int) -> pa.Table:
    """Take the first rows of each group by sort key, whatever the order of the rows."""
    merged = pa.concat_tables(tables).sort_by([(_GROUP, "ascending"), (_SORT_KEY, "ascending")])
    groups = merged[_GROUP].to_numpy()
    rank = np.arange(len(groups)) - np.searchsorted(groups, groups)
    return merged.filter(pa.array(rank < limit))


def merge_samples(tables: Iterable[pa.Table], limit: int) -> pa.Table | None:
    """Merge samples, sorting about ``limit`` new rows at a time.

    Returns:
      The first ``limit`` rows of each group, or None without tables.
    """
    pending: list[pa.Table] = []
    num_unsorted = 0
    for table in tables:
        pending.append(table)
        num_unsorted += len(table)
        if num_unsorted > limit:
            pending, num_unsorted = [take_first_per_group(pending, limit)], 0
    return take_first_per_group(pending, limit) if pending else None


def select_groups(sample: pa.Table, groups: Sequence[int], limit: int) -> pa.RecordBatch:
    """Return the features of several groups together, at most ``limit`` rows."""
    selected = sample.filter(pc.is_in(sample[_GROUP], pa.array(groups)))
    first_rows = selected.sort_by(_SORT_KEY).slice(0, limit).drop_columns([_SORT_KEY, _GROUP])
    return pa.RecordBatch.from_struct_array(first_rows.to_struct_array().combine_chunks())


def _assign_groups(sources: Sequence[bytes], spans: Sequence[str]) -> npt.NDArray[np.int64]:
    group_of_span = dict.fromkeys((span.encode() for span in spans[:-2]), EARLIER)
    group_of_span.update(
        zip((span.encode() for span in spans[-2:]), (PREVIOUS, NEWEST), strict=True)
    )
    return np.array([group_of_span[source.partition(b"/")[0]] for source in sources], np.int64)


def _wrap_in_lists(values: pa.Array) -> pa.Array:
    return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1), pa.int32()), values)
