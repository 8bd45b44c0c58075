"""Parquet tables of an evaluation: pairs, embeddings and the worst pairs, with thumbnails."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.common.row_runs import run_starts
from diptych.components.common.sampling import evenly_spaced
from diptych.components.evaluator.class_metrics import decode_label
from diptych.components.evaluator.model_predictions import ModelPredictions
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.schemas.evaluation import SCORED_PAIRS_SCHEMA, WORST_PAIRS_SCHEMA, embeddings_schema
from diptych.schemas.files import atomic_write
from diptych.schemas.shards import SplitPairs

I64 = npt.NDArray[np.int64]
_MAX_THUMBNAILS = 2500  # of embeddings.parquet; a few MB
_MAX_WORST_PAIRS = 12  # of false accepts, and of false rejects
_MAX_PAIRS_PER_EXAMPLE = 2  # among the worst pairs


def write_evaluation_tables(
    folder: Path,
    predictions: ModelPredictions,
    split: SplitPairs,
    render_thumbnails: Callable[[npt.NDArray[np.uint8]], list[bytes]],
) -> None:
    """Write ``pairs.parquet``, ``embeddings.parquet`` and ``worst_pairs.parquet``.

    Args:
      folder: Existing folder to write to.
      predictions: Predictions of the model on the test split.
      split: Test examples.
      render_thumbnails: Function from (m, 16) ids, distinct and sorted, to PNG thumbnails.
    """
    pairs, embeddings = predictions.pairs, predictions.embeddings
    ids = _to_fixed_size_binary(split.ids)
    labels = pa.array([decode_label(label) for label in split.labels], pa.string())
    pair_columns = {
        "left": ids.take(pa.array(pairs.left)),
        "right": ids.take(pa.array(pairs.right)),
        "same": pa.array(pairs.same, pa.int8()),
        "distance": pa.array(pairs.distance, pa.float32()),
    }
    _write_parquet(pa.table(pair_columns, schema=SCORED_PAIRS_SCHEMA), folder / "pairs.parquet")

    worst = find_worst_pairs(pairs, predictions.threshold)
    left, right = pairs.left[worst], pairs.right[worst]
    sampled = evenly_spaced(len(split.ids), _MAX_THUMBNAILS)
    rendered = np.unique(np.concatenate([sampled, left, right]))
    thumbnails = pa.array(render_thumbnails(split.ids[rendered]), pa.binary())

    def thumbnails_of(rows: I64) -> pa.Array:
        return thumbnails.take(pa.array(np.searchsorted(rendered, rows)))

    examples = pa.table(
        {
            "id": ids,
            "label": labels,
            "seen": pa.array(split.classes >= 0),
            "embedding": pa.FixedSizeListArray.from_arrays(
                pa.array(embeddings.ravel(), pa.float32()), embeddings.shape[1]
            ),
            "thumbnail": _scatter_with_nulls(thumbnails_of(sampled), sampled, len(ids)),
        },
        schema=embeddings_schema(embeddings.shape[1]),
    )
    _write_parquet(examples, folder / "embeddings.parquet")
    worst_columns = {
        name: column.take(pa.array(worst)) for name, column in pair_columns.items()
    } | {
        "left_label": labels.take(pa.array(left)),
        "right_label": labels.take(pa.array(right)),
        "left_thumbnail": thumbnails_of(left),
        "right_thumbnail": thumbnails_of(right),
    }
    _write_parquet(
        pa.table(worst_columns, schema=WORST_PAIRS_SCHEMA), folder / "worst_pairs.parquet"
    )


def find_worst_pairs(pairs: ScoredPairs, threshold: float) -> I64:
    """Find the misclassified pairs that are farthest from the threshold.

    At most 12 false accepts come first, followed by at most 12 false rejects. Duplicate pairs are
    returned once. Each example is in at most two of the pairs: only its two worst misclassified
    pairs are considered.

    Args:
      pairs: Test pairs.
      threshold: Calibrated threshold.

    Returns:
      At most 24 pair indices, the worst of each kind first.
    """
    wrong = np.flatnonzero(~pairs.is_correct(threshold))
    low = np.minimum(pairs.left[wrong], pairs.right[wrong])
    high = np.maximum(pairs.left[wrong], pairs.right[wrong])
    _, distinct = np.unique(low * np.int64(pairs.num_examples) + high, return_index=True)
    error = np.abs(pairs.distance[wrong[distinct]] - threshold)
    order = distinct[np.argsort(-error, kind="stable")]
    wrong, low, high = wrong[order], low[order], high[order]
    occurrence = _number_occurrences(np.stack([low, high], axis=1).ravel())
    kept = wrong[occurrence.reshape(-1, 2).max(axis=1) < _MAX_PAIRS_PER_EXAMPLE]
    positive = pairs.is_positive[kept]
    false_accepts, false_rejects = kept[~positive], kept[positive]
    return np.concatenate([false_accepts[:_MAX_WORST_PAIRS], false_rejects[:_MAX_WORST_PAIRS]])


def _number_occurrences(values: I64) -> I64:
    """Count the earlier occurrences of each value: [5, 7, 5] becomes [0, 0, 1]."""
    order = np.argsort(values, kind="stable")
    starts = run_starts(values[order])
    occurrence = np.empty(len(values), np.int64)
    lengths = np.diff(np.append(starts, len(values)))
    occurrence[order] = np.arange(len(values)) - np.repeat(starts, lengths)
    return occurrence


def _scatter_with_nulls(values: pa.Array, rows: I64, count: int) -> pa.Array:
    """Place values at the given rows of an array of length ``count``; other rows are null."""
    index = np.full(count, -1)
    index[rows] = np.arange(len(rows))
    return values.take(pa.array(index, mask=index < 0))


def _to_fixed_size_binary(ids: npt.NDArray[np.uint8]) -> pa.Array:
    data = pa.py_buffer(np.ascontiguousarray(ids))
    return pa.FixedSizeBinaryArray.from_buffers(pa.binary(ids.shape[1]), len(ids), [None, data])


def _write_parquet(table: pa.Table, path: Path) -> None:
    with atomic_write(path) as tmp_path:
        pq.write_table(table, tmp_path)
