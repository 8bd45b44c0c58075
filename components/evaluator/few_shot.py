"""N-way k-shot: of some classes with a few examples each, which is the query's?"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from diptych.components.evaluator.mean_estimates import estimate_means
from diptych.components.evaluator.pairwise_distances import F32
from diptych.schemas.config.evaluate import FewShotPlan
from diptych.schemas.evaluation import Estimate, FewShot

I64 = npt.NDArray[np.int64]
PairDistances = Callable[[F32, F32], F32]  # (m, size), (m, size) to (m,)
_PAIRS_AT_ONCE = 2**16


def few_shot(
    embeddings: F32,
    classes: I64,
    distance: PairDistances,
    plan: FewShotPlan,
    resamples: int,
    seed: int,
) -> tuple[tuple[FewShot, ...], tuple[str, ...]]:
    """Accuracy over random episodes, of every size that the classes suffice for.

    An episode draws ``ways`` classes, and of each ``shots`` examples that are known and one more
    that is the query: so ``ways`` queries. A query is given to the class whose known examples are
    nearest in the mean: a class mean needs a distance that has one, and a learned one has not.
    With one shot that is the one-shot task of Koch, Zemel & Salakhutdinov, "Siamese Neural
    Networks for One-shot Image Recognition", 2015, section 4.3. Equal distances count as wrong.

    The interval is by bootstrap over the queries: an example that is the query of many episodes
    counts once, with all of them. The known examples are not drawn anew.

    Args:
      embeddings: (n, size).
      classes: (n,) number of the class of each, any numbers.
      distance: of embeddings row by row, lower is more alike.
      plan: sizes and number of episodes.
      resamples: of the bootstrap.
      seed: of episodes and bootstrap.

    Returns:
      The figures, and a note on each size that is left out.
    """
    order = np.argsort(classes, kind="stable")
    _, starts, sizes = np.unique(classes[order], return_index=True, return_counts=True)
    figures, notes = [], []
    for ways in plan.ways:
        for shots in plan.shots:
            enough = np.flatnonzero(sizes > shots)
            if len(enough) < ways:
                notes.append(
                    f"{ways}-way {shots}-shot needs {ways} classes of at least {shots + 1} "
                    f"examples, and {len(enough)} have as many"
                )
                continue
            generator = np.random.default_rng([seed, ways, shots])
            many = np.full(plan.episodes, len(enough))
            drawn = enough[draw_subsets(many, ways, generator)]
            picked = draw_subsets(sizes[drawn].ravel(), shots + 1, generator)
            # A subset is fair, but its order is not; so any of it may be the query.
            which = generator.integers(0, shots + 1, len(picked))[:, None]
            picked = np.take_along_axis(picked, (np.arange(shots + 1) + which) % (shots + 1), 1)
            rows = order[starts[drawn][:, :, None] + picked.reshape(*drawn.shape, shots + 1)]
            right = _told_right(embeddings, rows, distance)
            accuracy = _over_queries(right.ravel(), rows[:, :, 0].ravel(), resamples, seed)
            figures.append(
                FewShot(
                    ways=ways,
                    shots=shots,
                    episodes=plan.episodes,
                    classes=len(enough),
                    accuracy=accuracy,
                )
            )
    return tuple(figures), tuple(notes)


def draw_subsets(sizes: I64, count: int, generator: np.random.Generator) -> I64:
    """Of each of m ranges 0 .. size - 1, a random subset of ``count`` numbers: (m, count).

    Bentley & Floyd, "A Sample of Brilliance", CACM 30(9), 1987: no range is ever laid out. Every
    subset is as likely; its order in a row is not random.

    Args:
      sizes: (m,), each at least ``count``.
      count: size of a subset.
      generator: of random numbers.
    """
    drawn = np.empty((len(sizes), count), np.int64)
    for column in range(count):
        last = sizes - count + column
        number = generator.integers(0, last + 1)
        taken = (drawn[:, :column] == number[:, None]).any(axis=1)
        drawn[:, column] = np.where(taken, last, number)
    return drawn


def _told_right(embeddings: F32, rows: I64, distance: PairDistances) -> npt.NDArray[np.bool_]:
    """(episodes, ways): ``rows`` (episodes, ways, 1 + shots) are each class's query, then known."""
    episodes, ways, shots = rows.shape[0], rows.shape[1], rows.shape[2] - 1
    right = np.empty((episodes, ways), bool)
    step = max(1, _PAIRS_AT_ONCE // (ways * ways * shots))
    for begin in range(0, episodes, step):
        some = rows[begin : begin + step]
        shape = (len(some), ways, ways, shots)
        query = np.broadcast_to(some[:, :, None, :1], shape).ravel()
        known = np.broadcast_to(some[:, None, :, 1:], shape).ravel()
        mean = distance(embeddings[query], embeddings[known]).reshape(shape).mean(axis=3)
        own = np.diagonal(mean, axis1=1, axis2=2)
        others = np.where(np.eye(ways, dtype=bool), np.inf, mean).min(axis=2)
        right[begin : begin + step] = own < others
    return right


def _over_queries(right: npt.NDArray[np.bool_], query: I64, resamples: int, seed: int) -> Estimate:
    _, number, trials = np.unique(query, return_inverse=True, return_counts=True)
    share = np.bincount(number, right) / trials
    (accuracy,) = estimate_means(share[:, None], trials.astype(np.float64), resamples, seed)
    return accuracy
