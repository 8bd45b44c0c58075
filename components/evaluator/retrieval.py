"""Retrieval metrics: do the nearest neighbours of an example belong to its class?

Each example with another example of its class is a query; all other examples are its gallery. At
equal distances, examples of other classes rank first. Neither the order
of the examples nor collapsed embeddings can therefore improve a metric.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.common.row_runs import run_starts
from diptych.components.common.sampling import evenly_spaced
from diptych.components.evaluator.pairwise_distances import F32, PairwiseDistances
from diptych.components.evaluator.query_means import estimate_query_means
from diptych.schemas.config.model import Distance
from diptych.schemas.evaluation import Retrieval

I64 = npt.NDArray[np.int64]
_RECALL_K = 5  # k of Recall@5
_DISTANCES_PER_BLOCK = 2**23  # 64 MB in float64
_MAX_QUERIES = 100_000


@dataclasses.dataclass(frozen=True)
class RetrievalResults:
    """Retrieval metrics of each query.

    Attributes:
      gallery_size: Number of examples searched, including the queries.
      num_classes: Number of classes.
      query: (q,) example rows.
      recall_at_1: (q,) 1.0 if the nearest neighbour belongs to the query's class, else 0.0.
      recall_at_5: (q,) 1.0 if any of the 5 nearest neighbours does, else 0.0.
      map_at_r: (q,) MAP@R in [0, 1].
    """

    gallery_size: int
    num_classes: int
    query: I64
    recall_at_1: npt.NDArray[np.float64]
    recall_at_5: npt.NDArray[np.float64]
    map_at_r: npt.NDArray[np.float64]

    def summarize(self, resamples: int, seed: int) -> Retrieval:
        """Average over the queries, with intervals by bootstrap over the queries."""
        values = np.stack([self.recall_at_1, self.recall_at_5, self.map_at_r], axis=1)
        recall_at_1, recall_at_5, map_at_r = estimate_query_means(
            values, np.ones(len(values)), resamples, seed
        )
        return Retrieval(
            queries=len(self.query),
            gallery=self.gallery_size,
            classes=self.num_classes,
            recall_at_1=recall_at_1,
            recall_at_5=recall_at_5,
            map_at_r=map_at_r,
        )


def evaluate_retrieval(
    embeddings: F32, classes: I64, distance_name: Distance, weights: F32 | None = None
) -> RetrievalResults | None:
    """Search all examples for the nearest neighbours of each, excluding itself.

    For a query with R other examples of its class, MAP@R is the mean over i = 1 .. R of the
    precision at i where the i-th neighbour belongs to its class, and 0 elsewhere.

    Musgrave, Belongie & Lim, "A Metric Learning Reality Check", ECCV 2020, section 3.2.

    Memory: A few blocks of 2**23 distances, or one row of n distances if that is more. Time:
    O(n^2). With more than 100,000 possible queries, 100,000 evenly spaced ones are evaluated.

    Args:
      embeddings: (n, size) embeddings.
      classes: (n,) class of each example, as any integers.
      distance_name: Name of the model's distance.
      weights: (size,) weights of a learned distance; None for other distances.

    Returns:
      Results in the order of the rows, or None without a query or with fewer than two classes.
    """
    _, class_index, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    if len(sizes) < 2 or sizes.max() < 2:
        return None
    # Sort by class size, so the queries of a block have about the same number of relevant examples.
    order = np.lexsort((class_index, sizes[class_index]))
    size = sizes[class_index[order]]
    start = run_starts(class_index[order])
    class_start = np.repeat(start, np.diff(np.r_[start, len(order)]))
    distances = PairwiseDistances(embeddings[order], distance_name, weights)
    step = max(1, _DISTANCES_PER_BLOCK // len(order))
    candidates = np.flatnonzero(size > 1)  # a class of one example has nothing to retrieve
    queries = candidates[evenly_spaced(len(candidates), _MAX_QUERIES)]
    values = np.concatenate(
        [
            _score_queries(distances.from_rows(rows), rows, class_start[rows], size[rows] - 1)
            for rows in np.split(queries, np.arange(step, len(queries), step))
        ]
    )
    by_row = np.argsort(order[queries])
    return RetrievalResults(len(order), len(sizes), order[queries][by_row], *values[by_row].T)


def _score_queries(
    distance: F32, query: I64, class_start: I64, num_relevant: I64
) -> npt.NDArray[np.float64]:
    """Compute the metrics of m queries.

    Args:
      distance: (m, n) distances from the queries to all examples; overwritten.
      query: (m,) rows of the queries.
      class_start: (m,) first row of the class of each query. The class occupies consecutive rows.
      num_relevant: (m,) number of other examples of the class, at least 1.

    Returns:
      (m, 3) hit at 1, hit at 5, and MAP@R.
    """
    total = distance.shape[1]
    max_relevant = int(num_relevant.max())
    width = min(max(max_relevant, _RECALL_K), total)
    offset = np.arange(max_relevant + 1)
    class_rows = class_start[:, None] + offset
    class_rows = np.where(offset <= num_relevant[:, None], class_rows, query[:, None])
    relevant = np.take_along_axis(distance, class_rows, axis=1)
    relevant[class_rows == query[:, None]] = np.inf
    np.put_along_axis(distance, class_rows, np.inf, axis=1)  # also the query itself
    distance.partition(width - 1, axis=1)
    # A stable sort merges the two sorted runs; at equal distances, other classes rank first.
    runs = np.concatenate([np.sort(distance[:, :width]), np.sort(relevant)], axis=1)
    ranks = np.argsort(runs, axis=1, kind="stable")[:, :width]
    hits = (ranks >= width) & np.isfinite(np.take_along_axis(runs, ranks, axis=1))
    rank = np.arange(1, width + 1)
    precision = np.where(hits, np.cumsum(hits, axis=1) / rank, 0.0)
    map_at_r = np.where(rank <= num_relevant[:, None], precision, 0.0).sum(axis=1) / num_relevant
    return np.stack([hits[:, 0], hits[:, :_RECALL_K].any(axis=1), map_at_r], axis=1)
