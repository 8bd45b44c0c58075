"""N-way k-shot classification of queries by their distances to a support set."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from diptych.components.evaluator.pairwise_distances import F32
from diptych.components.evaluator.query_means import estimate_query_means
from diptych.schemas.config.evaluate import FewShotConfig
from diptych.schemas.evaluation import Estimate, FewShot

I64 = npt.NDArray[np.int64]
RowwiseDistance = Callable[[F32, F32], F32]  # (m, size), (m, size) -> (m,)
_PAIRS_PER_BATCH = 2**16


def evaluate_few_shot(
    embeddings: F32,
    classes: I64,
    distance: RowwiseDistance,
    config: FewShotConfig,
    resamples: int,
    seed: int,
) -> tuple[tuple[FewShot, ...], tuple[str, ...]]:
    """Compute the accuracy over random episodes, for each combination of ways and shots.

    An episode samples ``ways`` classes and, from each class, ``shots`` support examples and one
    query. A query is classified as the class whose support examples have the lowest mean distance
    to it. Prototypes (class means of embeddings) are not used, because a learned distance is not
    defined for them. With one shot, this is the one-shot task of Koch, Zemel & Salakhutdinov,
    "Siamese Neural Networks for One-shot Image Recognition", 2015, section 4.3. Ties count as
    errors.

    Intervals are by bootstrap over the queries: an example that is the query of several episodes is
    drawn with all of them. Support sets are not resampled.

    Args:
      embeddings: (n, size) embeddings.
      classes: (n,) class of each example, as any integers.
      distance: Row-wise distance of embeddings; lower is more similar.
      config: Ways, shots and number of episodes.
      resamples: Number of bootstrap resamples.
      seed: Seed of the episodes and of the bootstrap.

    Returns:
      Metrics, and a note for each combination that has too few classes.
    """
    order = np.argsort(classes, kind="stable")
    _, starts, sizes = np.unique(classes[order], return_index=True, return_counts=True)
    metrics, notes = [], []
    for ways in config.ways:
        for shots in config.shots:
            eligible = np.flatnonzero(sizes > shots)
            if len(eligible) < ways:
                notes.append(
                    f"{ways}-way {shots}-shot requires {ways} classes with at least {shots + 1} "
                    f"examples each, got {len(eligible)}"
                )
                continue
            generator = np.random.default_rng([seed, ways, shots])
            num_eligible = np.full(config.episodes, len(eligible))
            sampled = eligible[sample_subsets(num_eligible, ways, generator)]
            picked = sample_subsets(sizes[sampled].ravel(), shots + 1, generator)
            # Subsets are uniform but their order is not, so the query is chosen at random.
            query_column = generator.integers(0, shots + 1, len(picked))[:, None]
            columns = (np.arange(shots + 1) + query_column) % (shots + 1)
            picked = np.take_along_axis(picked, columns, 1)
            rows = order[starts[sampled][:, :, None] + picked.reshape(*sampled.shape, shots + 1)]
            correct = _classify_queries(embeddings, rows, distance)
            metrics.append(
                FewShot(
                    ways=ways,
                    shots=shots,
                    episodes=config.episodes,
                    classes=len(eligible),
                    accuracy=_estimate_accuracy(
                        correct.ravel(), rows[:, :, 0].ravel(), resamples, seed
                    ),
                )
            )
    return tuple(metrics), tuple(notes)


def sample_subsets(sizes: I64, count: int, generator: np.random.Generator) -> I64:
    """Sample a random subset of ``count`` numbers from each of m ranges 0 .. size - 1.

    Bentley & Floyd, "A Sample of Brilliance", CACM 30(9), 1987: the ranges are never materialized.
    All subsets are equally likely; the order within a row is not random.

    Args:
      sizes: (m,) sizes of the ranges, each at least ``count``.
      count: Size of each subset.
      generator: Random generator.

    Returns:
      (m, count) numbers.
    """
    subsets = np.empty((len(sizes), count), np.int64)
    for column in range(count):
        last = sizes - count + column
        number = generator.integers(0, last + 1)
        taken = (subsets[:, :column] == number[:, None]).any(axis=1)
        subsets[:, column] = np.where(taken, last, number)
    return subsets


def _classify_queries(
    embeddings: F32, rows: I64, distance: RowwiseDistance
) -> npt.NDArray[np.bool_]:
    """Return which queries are classified correctly.

    Args:
      embeddings: (n, size) embeddings.
      rows: (episodes, ways, 1 + shots) rows of each class: the query, then the support examples.
      distance: Row-wise distance of embeddings.

    Returns:
      (episodes, ways) bool.
    """
    episodes, ways, shots = rows.shape[0], rows.shape[1], rows.shape[2] - 1
    correct = np.empty((episodes, ways), bool)
    step = max(1, _PAIRS_PER_BATCH // (ways * ways * shots))
    for begin in range(0, episodes, step):
        batch = rows[begin : begin + step]
        shape = (len(batch), ways, ways, shots)
        query = np.broadcast_to(batch[:, :, None, :1], shape).ravel()
        support = np.broadcast_to(batch[:, None, :, 1:], shape).ravel()
        mean = distance(embeddings[query], embeddings[support]).reshape(shape).mean(axis=3)
        own = np.diagonal(mean, axis1=1, axis2=2)
        others = np.where(np.eye(ways, dtype=bool), np.inf, mean).min(axis=2)
        correct[begin : begin + step] = own < others
    return correct


def _estimate_accuracy(
    correct: npt.NDArray[np.bool_], query: I64, resamples: int, seed: int
) -> Estimate:
    _, query_index, trials = np.unique(query, return_inverse=True, return_counts=True)
    share_correct = np.bincount(query_index, correct) / trials
    (accuracy,) = estimate_query_means(
        share_correct[:, None], trials.astype(np.float64), resamples, seed
    )
    return accuracy
