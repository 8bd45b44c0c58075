"""The tables beside the figures: embeddings, and the pairs that are worst, with pictures."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.evaluator.class_metrics import text_of
from diptych.components.evaluator.retrieval import evenly
from diptych.components.evaluator.scored_pairs import Judged
from diptych.schemas.evaluation import PAIRS, WORST_PAIRS, embeddings_schema
from diptych.schemas.files import whole_file
from diptych.schemas.shards import SplitPairs

I64 = npt.NDArray[np.int64]
_PICTURES = 2500  # of embeddings: a few MB
_WORST = 12  # pairs of each kind
_PAIRS_OF_ONE = 2  # worst pairs that one example is in, at most


def write_tables(
    folder: Path,
    judged: Judged,
    threshold: float,
    embeddings: npt.NDArray[np.float32],
    split: SplitPairs,
    pictures_of: Callable[[npt.NDArray[np.uint8]], list[bytes]],
) -> None:
    """Writes ``pairs.parquet``, ``embeddings.parquet`` and ``worst_pairs.parquet``.

    Args:
      folder: to write to; exists.
      judged: the pairs.
      threshold: the calibrated one.
      embeddings: (n, size) of the examples.
      split: the examples.
      pictures_of: PNG pictures of examples by their ids (m, 16), each once, ordered.
    """
    ids = _fixed(split.ids)
    labels = pa.array([text_of(label) for label in split.labels], pa.string())
    pairs = {
        "left": ids.take(pa.array(judged.left)),
        "right": ids.take(pa.array(judged.right)),
        "same": pa.array(judged.same, pa.int8()),
        "distance": pa.array(judged.distance, pa.float32()),
    }
    _write(pa.table(pairs, schema=PAIRS), folder / "pairs.parquet")

    worst = worst_pairs(judged, threshold)
    left, right = judged.left[worst], judged.right[worst]
    shown = evenly(len(split.ids), _PICTURES)
    drawn = np.unique(np.concatenate([shown, left, right]))
    pictures = pa.array(pictures_of(split.ids[drawn]), pa.binary())

    def pictures_at(rows: npt.NDArray[np.int64]) -> pa.Array:
        return pictures.take(pa.array(np.searchsorted(drawn, rows)))

    examples = pa.table(
        {
            "id": ids,
            "label": labels,
            "seen": pa.array(split.classes >= 0),
            "embedding": pa.FixedSizeListArray.from_arrays(
                pa.array(embeddings.ravel(), pa.float32()), embeddings.shape[1]
            ),
            "picture": _scattered(pictures_at(shown), shown, len(ids)),
        },
        schema=embeddings_schema(embeddings.shape[1]),
    )
    _write(examples, folder / "embeddings.parquet")
    found = {name: column.take(pa.array(worst)) for name, column in pairs.items()} | {
        "left_label": labels.take(pa.array(left)),
        "right_label": labels.take(pa.array(right)),
        "left_picture": pictures_at(left),
        "right_picture": pictures_at(right),
    }
    _write(pa.table(found, schema=WORST_PAIRS), folder / "worst_pairs.parquet")


def worst_pairs(judged: Judged, threshold: float) -> I64:
    """Rows of the pairs furthest on the wrong side of the threshold.

    Different pairs called same come first, then same pairs called different, 12 of each at most.
    A pair that was drawn twice is there once. No example is in more than two: of its wrong pairs,
    only the two worst are considered.

    Args:
      judged: the pairs.
      threshold: the calibrated one.

    Returns:
      At most 24, each kind with the worst first.
    """
    wrong = np.flatnonzero(~judged.right_at(threshold))
    low = np.minimum(judged.left[wrong], judged.right[wrong])
    high = np.maximum(judged.left[wrong], judged.right[wrong])
    _, once = np.unique(low * np.int64(judged.num_examples) + high, return_index=True)
    off = np.abs(judged.distance[wrong[once]] - threshold)
    order = once[np.argsort(-off, kind="stable")]
    wrong, low, high = wrong[order], low[order], high[order]
    nth = _occurrence(np.stack([low, high], axis=1).ravel()).reshape(-1, 2).max(axis=1)
    kept = wrong[nth < _PAIRS_OF_ONE]
    same = judged.is_same[kept]
    return np.concatenate([kept[~same][:_WORST], kept[same][:_WORST]])


def _occurrence(values: I64) -> I64:
    """How often each value was there before."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(np.diff(values[order], prepend=-1))
    nth = np.empty(len(values), np.int64)
    lengths = np.diff(np.append(starts, len(values)))
    nth[order] = np.arange(len(values)) - np.repeat(starts, lengths)
    return nth


def _scattered(values: pa.Array, rows: I64, count: int) -> pa.Array:
    """The values at some rows of as many as ``count``; the others are null."""
    place = np.full(count, -1)
    place[rows] = np.arange(len(rows))
    return values.take(pa.array(place, mask=place < 0))


def _fixed(ids: npt.NDArray[np.uint8]) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(ids))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(ids.shape[1]), len(ids), [None, data])


def _write(table: pa.Table, path: Path) -> None:
    with whole_file(path) as beside:
        pq.write_table(table, beside)
