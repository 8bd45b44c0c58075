"""No-learning baseline: the Euclidean distance between the inputs of the encoder.

Inputs come from the pair shards: pixels in [0, 1], or standardized vectors. A model that is not
more accurate than this distance has learned nothing that the inputs do not show.
"""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.common.sampling import evenly_spaced
from diptych.components.common.threshold import choose_threshold
from diptych.components.evaluator.model_predictions import ModelPredictions
from diptych.components.evaluator.paired_comparison import compare_paired
from diptych.components.evaluator.query_means import estimate_query_means
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.components.evaluator.verification import compute_verification_metrics
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.config.train import ThresholdCriterion
from diptych.schemas.evaluation import Estimate, RawDistanceMetrics
from diptych.schemas.shards import (
    InputShape,
    SplitManifest,
    SplitPairs,
    inputs_to_numpy,
    shard_name,
)

F32 = npt.NDArray[np.float32]
F64 = npt.NDArray[np.float64]
I64 = npt.NDArray[np.int64]
_MAX_PIXEL = 255.0
_CELLS_PER_BLOCK = 2**21  # numbers of one array of a block, 16 MB in float64
_MAX_QUERIES = 2000
_QUERY_CELLS = 2**24  # numbers of all queries, 128 MB in float64
# Floor of a squared distance, relative to the largest squared length of a query: above the rounding
# error of equal inputs, below the distance of different ones.
_ROUNDING = 1e-13


def compute_raw_distance_metrics(
    candidate: ModelPredictions,
    test: SplitPairs,
    pairs_folder: Path,
    criterion: ThresholdCriterion,
    config: EvaluateConfig,
) -> RawDistanceMetrics:
    """Compute the metrics of the baseline on the test pairs, and compare the model with it.

    Memory: the distances of the pairs of a split, and blocks of inputs. Time: linear in the number
    of pairs and examples.

    Args:
      candidate: Predictions of the model on the test split.
      test: Test pairs.
      pairs_folder: Folder of the pair set, with one folder per split.
      criterion: Criterion of the threshold, ``train.threshold_criterion``.
      config: Number of resamples and seed.
    """
    threshold = choose_threshold(
        *measure_raw_distances(pairs_folder / "Split-calibration"), criterion
    )
    test_folder = pairs_folder / "Split-test"
    distance, _ = measure_raw_distances(test_folder)
    pairs = ScoredPairs(len(test.ids), test.left, test.right, test.same, distance)
    only_thresholds = config.model_copy(
        update={"threshold": threshold, "false_accept_rates": ()}  # computed, but not used
    )
    metrics = compute_verification_metrics(pairs, threshold, only_thresholds)
    return RawDistanceMetrics(
        accuracy=metrics.calibrated.accuracy,
        roc_auc=metrics.roc_auc,
        equal_error_rate=metrics.equal_error_rate,
        recall_at_1=measure_raw_recall(test_folder, test, config),
        comparison=compare_paired(candidate.pairs, candidate.threshold, pairs, threshold, config),
    )


def measure_raw_distances(folder: Path) -> tuple[F32, npt.NDArray[np.int8]]:
    """Measure the Euclidean distance of each pair of a split.

    Args:
      folder: Folder of the split.

    Returns:
      (m,) distances, and (m,) 1 for positive and 0 for negative pairs; both in the order of the
      shards, as in ``read_split_pairs``.
    """
    manifest = SplitManifest.read(folder)
    distances, labels = [np.empty(0, np.float32)], [np.empty(0, np.int8)]
    for shard in range(manifest.num_shards):
        path = folder / shard_name("pairs", shard, manifest.num_shards)
        left, right, same = (
            column.to_numpy()
            for column in pq.read_table(path, columns=["left", "right", "same"]).columns
        )
        labels.append(same)
        with _open_inputs(folder, shard, manifest) as x:
            distances.append(_measure_rows(x, left, right, manifest.input))
    return np.concatenate(distances), np.concatenate(labels)


def measure_raw_recall(folder: Path, split: SplitPairs, config: EvaluateConfig) -> Estimate | None:
    """Measure Recall@1 by the Euclidean distance between inputs.

    As for the model, the gallery of a query is all other examples, and examples of other classes
    rank first at equal distances. At most 2,000 evenly spaced queries are evaluated, fewer if an
    input has more than 8,388 numbers, so the time is linear in the number of examples.

    Args:
      folder: Folder of the split.
      split: Examples of the split.
      config: Number of resamples and seed.

    Returns:
      Recall@1, or None with fewer than two classes or if no class has two examples.
    """
    _, class_index, sizes = np.unique(split.labels, return_inverse=True, return_counts=True)
    if len(sizes) < 2 or sizes.max() < 2:
        return None
    manifest = SplitManifest.read(folder)
    size = int(np.prod(manifest.input.shape))
    candidates = np.flatnonzero(sizes[class_index] > 1)
    queries = candidates[
        evenly_spaced(len(candidates), min(_MAX_QUERIES, max(1, _QUERY_CELLS // size)))
    ]
    inputs = np.empty((len(queries), size))
    for rows, values in _iter_examples(folder, split, manifest, queries):
        inputs[np.searchsorted(queries, rows)] = values
    lengths = np.square(inputs).sum(axis=1)
    nearest_own = np.full(len(queries), np.inf)
    nearest_other = np.full(len(queries), np.inf)
    for rows, values in _iter_examples(folder, split, manifest, np.arange(len(split.ids))):
        squared = inputs @ values.T
        squared *= -2.0
        squared += lengths[:, None]
        squared += np.square(values).sum(axis=1)
        np.maximum(squared, _ROUNDING * lengths.max(), out=squared)
        squared[queries[:, None] == rows] = np.inf  # a query does not retrieve itself
        is_own = class_index[queries][:, None] == class_index[rows]
        own = np.where(is_own, squared, np.inf).min(axis=1)
        other = np.where(is_own, np.inf, squared).min(axis=1)
        np.minimum(nearest_own, own, out=nearest_own)
        np.minimum(nearest_other, other, out=nearest_other)
    hits = (nearest_own < nearest_other).astype(np.float64)
    (recall,) = estimate_query_means(
        hits[:, None], np.ones(len(hits)), config.bootstrap, config.seed
    )
    return recall


def _measure_rows(x: npt.NDArray[Any], left: I64, right: I64, shape: InputShape) -> F32:
    """Measure the distances between rows of x, in blocks."""
    distance = np.empty(len(left), np.float32)
    step = max(1, _CELLS_PER_BLOCK // max(1, x.shape[1]))
    scale = _MAX_PIXEL if shape.kind == "image" else 1.0
    for start in range(0, len(left), step):
        block = slice(start, start + step)
        difference = x[left[block]].astype(np.float64)
        difference -= x[right[block]]
        squared = np.einsum("ij,ij->i", difference, difference)
        distance[block] = np.sqrt(squared) / scale
    return distance


def _iter_examples(
    folder: Path, split: SplitPairs, manifest: SplitManifest, rows: I64
) -> Iterator[tuple[I64, F64]]:
    """Read the inputs of some examples of a split in blocks.

    Args:
      folder: Folder of the split.
      split: Examples of the split.
      manifest: Manifest of the split.
      rows: Rows of ``split.ids``, sorted.

    Yields:
      (n,) rows, and their inputs (n, numbers), n >= 1. Pixels are in 0 .. 255.
    """
    step = max(1, _CELLS_PER_BLOCK // max(int(np.prod(manifest.input.shape)), _MAX_QUERIES))
    for shard in range(manifest.num_shards):
        in_shard = rows[split.shard[rows] == shard]
        if not len(in_shard):
            continue
        with _open_inputs(folder, shard, manifest) as x:
            for start in range(0, len(in_shard), step):
                block = in_shard[start : start + step]
                yield block, x[split.row[block]].astype(np.float64)


@contextlib.contextmanager
def _open_inputs(folder: Path, shard: int, manifest: SplitManifest) -> Iterator[npt.NDArray[Any]]:
    """Map the inputs (rows, numbers) of a shard into memory."""
    path = folder / shard_name("examples", shard, manifest.num_shards)
    with pa.memory_map(str(path)) as source:
        column = pa.ipc.open_file(source).read_all()["x"].combine_chunks()
        width = int(np.prod(manifest.input.shape))  # a shard may be empty: -1 would be ambiguous
        yield inputs_to_numpy(column, manifest.input).reshape(len(column), width)
