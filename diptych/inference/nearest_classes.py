"""The nearest classes among labelled embeddings: exact, and independent of what else is asked."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import faiss
import numpy as np

Measure = Callable[[np.ndarray, np.ndarray], np.ndarray]

_FIRST_CANDIDATES = 64
_GROWTH = 8
_CANDIDATES_AT_ONCE = 2**21  # (query, candidate) pairs: some 100 MB
_ROWS_AT_ONCE = 2**16
_ROWS_EVEN = 16  # float32 in the widest registers
_ROUNDING = float(np.finfo(np.float32).eps)
# Under the root of the Euclidean distance and of the length of a vector, see trainer/distances.py.
_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class Nearest:
    """The nearest classes of each query, the nearest first.

    ``rows`` (q, k) int64 is the nearest example of the class, -1 where there are fewer classes
    than k; ``distances`` (q, k) float32 are to that example, infinite where there is none.
    """

    rows: np.ndarray
    distances: np.ndarray


class NearestClasses:
    """Finds the classes whose examples are nearest; the nearest example stands for its class.

    Faiss looks for the nearest examples, all of them by brute force, and as many as it takes to
    see k classes. Of these the model itself measures the distances, which decide: Faiss may round
    in another way, and by the number of queries. So what is found is what the model would find by
    measuring every example.

    A distance that Faiss does not know (learned ones) is measured by the model throughout.

    Memory: the embeddings, for cosine twice.

    Args:
      embeddings: (n, size) float32, finite.
      classes: (n,) numbers; of two classes at one distance the lower comes first.
      distance: name of the model's distance.
      measure: (m, size), (m, size) to (m,) distances, row by row.
    """

    def __init__(
        self, embeddings: np.ndarray, classes: np.ndarray, distance: str, measure: Measure
    ) -> None:
        self._embeddings = embeddings
        self._classes = classes
        self._distance = distance
        self._measure = measure
        self._points = self._placed(embeddings)
        lengths = self._lengths(self._points)
        self._longest = float(lengths.max(initial=0.0))

    def search(self, queries: np.ndarray, k: int) -> Nearest:
        """The k nearest classes of (q, size) float32 embeddings."""
        nearest = Nearest(
            rows=np.full((len(queries), k), -1, np.int64),
            distances=np.full((len(queries), k), np.inf, np.float32),
        )
        total = len(self._embeddings)
        open_ = np.arange(len(queries) if total else 0)
        count = max(_FIRST_CANDIDATES, _GROWTH * k)
        while open_.size:
            count = min(count, total)
            at_once = max(1, _CANDIDATES_AT_ONCE // count)
            still_open = []
            for start in range(0, open_.size, at_once):
                asked = open_[start : start + at_once]
                found, complete = self._search_among(queries[asked], k, count)
                nearest.rows[asked[complete]] = found.rows
                nearest.distances[asked[complete]] = found.distances
                still_open.append(asked[~complete])
            open_ = np.concatenate(still_open)
            count *= _GROWTH
        return nearest

    def _search_among(self, queries: np.ndarray, k: int, count: int) -> tuple[Nearest, np.ndarray]:
        """The nearest classes of those queries for which so many candidates are enough.

        Returns:
          Their classes, and (q,) bool which queries these are.
        """
        near, rows, rounding = self._candidates(queries, count)
        classes_seen = np.cumsum(_firsts(self._classes[rows]), axis=1)
        enough = classes_seen[:, -1] >= k
        last = np.argmax(classes_seen >= k, axis=1)
        bound = np.where(enough, near[np.arange(len(near)), last] + rounding, np.inf)
        # No example beyond the candidates can be nearer than the k-th class, even by rounding.
        complete = (bound < near[:, -1]) | (count == len(self._embeddings))

        queries, near, rows = queries[complete], near[complete], rows[complete]
        query, candidate = np.nonzero(near <= bound[complete, None])
        chosen = rows[query, candidate]
        exact = np.full(near.shape, np.inf, np.float32)
        exact[query, candidate] = self._between(queries[query], self._embeddings[chosen])
        order = np.lexsort((rows, self._classes[rows], exact), axis=1)
        rows = np.take_along_axis(rows, order, axis=1)
        exact = np.take_along_axis(exact, order, axis=1)
        first = _firsts(self._classes[rows])
        front = np.argsort(~first, axis=1, kind="stable")[:, :k]
        is_class = np.take_along_axis(first, front, axis=1)
        found = Nearest(
            rows=_widened(np.where(is_class, np.take_along_axis(rows, front, axis=1), -1), k, -1),
            distances=_widened(
                np.where(is_class, np.take_along_axis(exact, front, axis=1), np.inf), k, np.inf
            ),
        )
        return found, complete

    def _candidates(
        self, queries: np.ndarray, count: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The nearest examples, by a distance in the order of the model's.

        Returns:
          (q, count) such distances, rising; (q, count) rows; (q,) by how much rounding may have
          changed the difference of two of these distances.
        """
        if self._distance not in _METRICS:
            return *self._scan(queries, count), np.zeros(len(queries))
        points = self._placed(queries)
        metric = _METRICS[self._distance]
        # Several threads do for one query four times the work of one, and are slower.
        with _threads(1 if len(points) == 1 else faiss.omp_get_max_threads()):
            near, rows = faiss.knn(points, self._points, count, metric=metric)
        reach = self._lengths(points) + self._longest
        if metric == faiss.METRIC_L2:
            reach = reach**2
        return near.astype(np.float64), rows, _ROUNDING * points.shape[1] * reach + _TINY

    def _scan(self, queries: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        near = np.empty((len(queries), count))
        rows = np.empty((len(queries), count), np.int64)
        for number, query in enumerate(queries):
            distances = np.concatenate(
                [
                    self._between(np.broadcast_to(query, some.shape), some)
                    for start in range(0, len(self._embeddings), _ROWS_AT_ONCE)
                    for some in [self._embeddings[start : start + _ROWS_AT_ONCE]]
                ]
            )
            part = np.argpartition(distances, count - 1)[:count]
            part = part[np.argsort(distances[part], kind="stable")]
            near[number], rows[number] = distances[part], part
        return near, rows

    def _between(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        number = len(left)
        if not number:
            return np.empty(0, np.float32)
        # The last rows of an odd number go another way through the processor, and are rounded
        # differently: with these, what a distance comes to would depend on what else is asked.
        pad = ((0, -number % _ROWS_EVEN), (0, 0))
        return self._measure(np.pad(left, pad), np.pad(right, pad))[:number]

    def _placed(self, embeddings: np.ndarray) -> np.ndarray:
        """As points whose distances Faiss knows: the cosine is the Euclidean of unit vectors."""
        if self._distance != "cosine":
            return np.ascontiguousarray(embeddings)
        squares = np.square(embeddings).sum(axis=1, keepdims=True)
        units: np.ndarray = embeddings / np.sqrt(squares + np.float32(_TINY))
        return units

    def _lengths(self, points: np.ndarray) -> np.ndarray:
        order = 1 if _METRICS.get(self._distance) == faiss.METRIC_L1 else 2
        lengths: np.ndarray = np.linalg.norm(points, ord=order, axis=1).astype(np.float64)
        return lengths


_METRICS = {
    "euclidean": faiss.METRIC_L2,
    "squared_euclidean": faiss.METRIC_L2,
    "cosine": faiss.METRIC_L2,
    "manhattan": faiss.METRIC_L1,
}


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    """Threads of Faiss for what this thread asks."""
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(number)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)


def _firsts(classes: np.ndarray) -> np.ndarray:
    """(q, n) bool: whether a class stands there for the first time in its row."""
    order = np.argsort(classes, axis=1, kind="stable")
    ordered = np.take_along_axis(classes, order, axis=1)
    new = np.ones(classes.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty_like(new)
    np.put_along_axis(first, order, new, axis=1)
    return first


def _widened(values: np.ndarray, k: int, fill: float) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, k - values.shape[1])), constant_values=fill)
