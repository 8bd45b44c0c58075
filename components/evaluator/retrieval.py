"""Retrieval: are the nearest of an example of its class?

Each example that has another of its class asks for it among all others. Equal distances count
against the model: those of other classes come first. So neither the order of the examples nor
embeddings that are all the same can help.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.evaluator.mean_estimates import estimate_means
from diptych.components.evaluator.pairwise_distances import F32, Nearness
from diptych.schemas.config.model import Distance
from diptych.schemas.evaluation import Retrieval

I64 = npt.NDArray[np.int64]
_FIRST = 5  # of Recall@5
_DISTANCES_AT_ONCE = 2**23  # 64 MB in float64
_MOST_QUERIES = 100_000


@dataclasses.dataclass(frozen=True)
class Found:
    """What each query found.

    ``query`` (q,) are rows of the examples; ``at_1`` and ``at_5`` (q,) are 1 where one of its
    class is the nearest, or among the nearest five, else 0; ``map_at_r`` (q,) is in [0, 1].
    """

    gallery: int
    classes: int
    query: I64
    at_1: npt.NDArray[np.float64]
    at_5: npt.NDArray[np.float64]
    map_at_r: npt.NDArray[np.float64]

    def figures(self, resamples: int, seed: int) -> Retrieval:
        """Their means, with intervals by bootstrap over the queries."""
        values = np.stack([self.at_1, self.at_5, self.map_at_r], axis=1)
        at_1, at_5, map_at_r = estimate_means(values, np.ones(len(values)), resamples, seed)
        return Retrieval(
            queries=len(self.query),
            gallery=self.gallery,
            classes=self.classes,
            recall_at_1=at_1,
            recall_at_5=at_5,
            map_at_r=map_at_r,
        )


def retrieve(
    embeddings: F32, classes: I64, measured_by: Distance, weights: F32 | None = None
) -> Found | None:
    """Lets each example look for its class among all others, itself left out.

    With R other examples of its class, MAP@R of a query is the mean over i = 1 .. R of the
    precision of its i nearest where the i-th is of its class, and of 0 where it is not.

    Musgrave, Belongie & Lim, "A Metric Learning Reality Check", ECCV 2020, section 3.2.

    Memory: some blocks of 2**23 distances, or one row of n where that is more. Time: n^2, and of
    more than 100,000 examples that many times n, as only so many of them ask, evenly chosen.

    Args:
      embeddings: (n, size).
      classes: (n,) number of the class of each, any numbers.
      measured_by: the kind of the model's distance.
      weights: (size,) of a learned distance; None for others.

    Returns:
      What was found, in the order of the rows; None where there is no query, or only one class
      to find.
    """
    _, numbers, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    if len(sizes) < 2 or sizes.max() < 2:
        return None
    # Classes of a size side by side: queries of a block have about as many to find.
    order = np.lexsort((numbers, sizes[numbers]))
    size = sizes[numbers[order]]
    start = np.flatnonzero(np.r_[True, np.diff(numbers[order]) != 0])
    first = np.repeat(start, np.diff(np.r_[start, len(order)]))  # row where its class begins
    nearness = Nearness(embeddings[order], measured_by, weights)
    step = max(1, _DISTANCES_AT_ONCE // len(order))
    able = np.flatnonzero(size > 1)  # those alone in their class find nothing
    queries = able[evenly(len(able), _MOST_QUERIES)]
    values = np.concatenate(
        [
            _ranked(nearness.of(rows), rows, first[rows], size[rows] - 1)
            for rows in np.split(queries, np.arange(step, len(queries), step))
        ]
    )
    back = np.argsort(order[queries])
    return Found(len(order), len(sizes), order[queries][back], *values[back].T)


def evenly(count: int, most: int) -> I64:
    """As many of the numbers 0 .. count - 1 as there may be, at even distances."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(np.int64))


def _ranked(distance: F32, query: I64, first: I64, others: I64) -> npt.NDArray[np.float64]:
    """(m, 3) at 1, at 5 and MAP@R of m queries; ``distance`` (m, n) is used up.

    The class of row ``query[i]`` are the ``others[i] + 1`` rows from ``first[i]`` on.
    """
    total = distance.shape[1]
    wanted = int(others.max())
    width = min(max(wanted, _FIRST), total)
    place = first[:, None] + np.arange(wanted + 1)
    place = np.where(np.arange(wanted + 1) <= others[:, None], place, query[:, None])
    own = np.take_along_axis(distance, place, axis=1)
    own[place == query[:, None]] = np.inf
    np.put_along_axis(distance, place, np.inf, axis=1)  # also that of the query to itself
    distance.partition(width - 1, axis=1)
    # Two sorted runs, which a stable sort merges; at equal distance, the other classes come first.
    runs = np.concatenate([np.sort(distance[:, :width]), np.sort(own)], axis=1)
    ranks = np.argsort(runs, axis=1, kind="stable")[:, :width]
    found = (ranks >= width) & np.isfinite(np.take_along_axis(runs, ranks, axis=1))
    rank = np.arange(1, width + 1)
    precision = np.where(found, np.cumsum(found, axis=1) / rank, 0.0)
    mean = np.where(rank <= others[:, None], precision, 0.0).sum(axis=1) / others
    return np.stack([found[:, 0], found[:, :_FIRST].any(axis=1), mean], axis=1)
