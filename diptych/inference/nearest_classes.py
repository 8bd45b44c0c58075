"""Exact search of the nearest classes, independent of the other queries of a batch."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator

import faiss
import numpy as np

DistanceFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]

_INITIAL_CANDIDATES = 64
_CANDIDATE_GROWTH = 8
_MAX_CANDIDATE_PAIRS = 2**21  # (query, candidate) pairs per block: some 100 MB
_SCAN_ROWS = 2**16
_ROW_MULTIPLE = 16  # float32 lanes of the widest registers
_EPSILON = float(np.finfo(np.float32).eps)
# Added under the root of the Euclidean distance and of the norm, see trainer/distances.py.
_TINY = 1e-12


@dataclasses.dataclass(frozen=True)
class ClassNeighbors:
    """The nearest classes of each query, nearest first.

    Attributes:
      rows: (q, k) int64, row of the nearest example of each class; -1 if there are fewer classes.
      distances: (q, k) float32, distances to those examples; infinite if there is none.
    """

    rows: np.ndarray
    distances: np.ndarray


class NearestClasses:
    """Finds the classes with the nearest examples; the nearest example represents its class.

    Faiss finds candidates by brute force, until they contain k classes. The model then
    computes the distances of the candidates, which decide: Faiss may round differently, depending
    on the number of queries. The result equals that of computing the model's distance to every
    example.

    Faiss does not support learned distances; for those, the model computes all distances.

    Memory: the embeddings, twice for cosine.

    Args:
      embeddings: (n, size) float32, finite.
      class_indices: (n,) class index of each example; ties are broken by the lower index.
      distance_name: Name of the model's distance.
      distance: Maps two (m, size) arrays to (m,) distances between their rows.
    """

    def __init__(
        self,
        embeddings: np.ndarray,
        class_indices: np.ndarray,
        distance_name: str,
        distance: DistanceFunction,
    ) -> None:
        self._embeddings = embeddings
        self._class_indices = class_indices
        self._distance_name = distance_name
        self._distance = distance
        self._points = self._to_faiss_points(embeddings)
        self._max_norm = float(self._norms(self._points).max(initial=0.0))

    def search(self, queries: np.ndarray, k: int) -> ClassNeighbors:
        """Find the k nearest classes of (q, size) float32 embeddings."""
        nearest = ClassNeighbors(
            rows=np.full((len(queries), k), -1, np.int64),
            distances=np.full((len(queries), k), np.inf, np.float32),
        )
        total = len(self._embeddings)
        pending = np.arange(len(queries) if total else 0)
        num_candidates = max(_INITIAL_CANDIDATES, _CANDIDATE_GROWTH * k)
        while pending.size:
            num_candidates = min(num_candidates, total)
            block_size = max(1, _MAX_CANDIDATE_PAIRS // num_candidates)
            incomplete = []
            for start in range(0, pending.size, block_size):
                block = pending[start : start + block_size]
                neighbors, complete = self._search_candidates(queries[block], k, num_candidates)
                nearest.rows[block[complete]] = neighbors.rows
                nearest.distances[block[complete]] = neighbors.distances
                incomplete.append(block[~complete])
            pending = np.concatenate(incomplete)
            num_candidates *= _CANDIDATE_GROWTH
        return nearest

    def _search_candidates(
        self, queries: np.ndarray, k: int, num_candidates: int
    ) -> tuple[ClassNeighbors, np.ndarray]:
        """Find the nearest classes among a number of candidates.

        Returns:
          The classes of those queries for which the candidates are enough, and (q,) bool that
          marks these queries.
        """
        near, rows, rounding = self._find_candidates(queries, num_candidates)
        num_classes = np.cumsum(_first_occurrences(self._class_indices[rows]), axis=1)
        enough = num_classes[:, -1] >= k
        last = np.argmax(num_classes >= k, axis=1)
        bound = np.where(enough, near[np.arange(len(near)), last] + rounding, np.inf)
        # No example outside the candidates can be nearer than the k-th class, even with rounding.
        complete = (bound < near[:, -1]) | (num_candidates == len(self._embeddings))

        queries, near, rows = queries[complete], near[complete], rows[complete]
        query, candidate = np.nonzero(near <= bound[complete, None])
        exact = np.full(near.shape, np.inf, np.float32)
        exact[query, candidate] = self._row_distances(
            queries[query], self._embeddings[rows[query, candidate]]
        )
        order = np.lexsort((rows, self._class_indices[rows], exact), axis=1)
        rows = np.take_along_axis(rows, order, axis=1)
        exact = np.take_along_axis(exact, order, axis=1)
        first = _first_occurrences(self._class_indices[rows])
        front = np.argsort(~first, axis=1, kind="stable")[:, :k]
        is_class = np.take_along_axis(first, front, axis=1)
        neighbors = ClassNeighbors(
            rows=_pad_columns(
                np.where(is_class, np.take_along_axis(rows, front, axis=1), -1), k, -1
            ),
            distances=_pad_columns(
                np.where(is_class, np.take_along_axis(exact, front, axis=1), np.inf), k, np.inf
            ),
        )
        return neighbors, complete

    def _find_candidates(
        self, queries: np.ndarray, num_candidates: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Find the nearest examples by a distance with the same order as the model's.

        Returns:
          Distances (q, num_candidates), ascending; rows (q, num_candidates); and (q,) bounds of
          the rounding error of the difference between two of these distances.
        """
        if self._distance_name not in _FAISS_METRICS:
            return *self._scan_all(queries, num_candidates), np.zeros(len(queries))
        points = self._to_faiss_points(queries)
        metric = _FAISS_METRICS[self._distance_name]
        # For a single query, several threads do four times the work of one, and are slower.
        with _faiss_threads(1 if len(points) == 1 else faiss.omp_get_max_threads()):
            near, rows = faiss.knn(points, self._points, num_candidates, metric=metric)
        magnitude = self._norms(points) + self._max_norm
        if metric == faiss.METRIC_L2:
            magnitude = magnitude**2
        return near.astype(np.float64), rows, _EPSILON * points.shape[1] * magnitude + _TINY

    def _scan_all(self, queries: np.ndarray, num_candidates: int) -> tuple[np.ndarray, np.ndarray]:
        near = np.empty((len(queries), num_candidates))
        rows = np.empty((len(queries), num_candidates), np.int64)
        for i, query in enumerate(queries):
            distances = np.concatenate(
                [
                    self._row_distances(np.broadcast_to(query, chunk.shape), chunk)
                    for start in range(0, len(self._embeddings), _SCAN_ROWS)
                    for chunk in [self._embeddings[start : start + _SCAN_ROWS]]
                ]
            )
            nearest = np.argpartition(distances, num_candidates - 1)[:num_candidates]
            nearest = nearest[np.argsort(distances[nearest], kind="stable")]
            near[i], rows[i] = distances[nearest], nearest
        return near, rows

    def _row_distances(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        num_rows = len(left)
        if not num_rows:
            return np.empty(0, np.float32)
        # Rows that do not fill a vector register take another code path and are rounded
        # differently. Without padding, a distance would depend on the other queries.
        pad = ((0, -num_rows % _ROW_MULTIPLE), (0, 0))
        return self._distance(np.pad(left, pad), np.pad(right, pad))[:num_rows]

    def _to_faiss_points(self, embeddings: np.ndarray) -> np.ndarray:
        """Convert to points for Faiss: cosine is the Euclidean distance of unit vectors."""
        if self._distance_name != "cosine":
            return np.ascontiguousarray(embeddings)
        squares = np.square(embeddings).sum(axis=1, keepdims=True)
        units: np.ndarray = embeddings / np.sqrt(squares + np.float32(_TINY))
        return units

    def _norms(self, points: np.ndarray) -> np.ndarray:
        order = 1 if _FAISS_METRICS.get(self._distance_name) == faiss.METRIC_L1 else 2
        norms: np.ndarray = np.linalg.norm(points, ord=order, axis=1).astype(np.float64)
        return norms


_FAISS_METRICS = {
    "euclidean": faiss.METRIC_L2,
    "squared_euclidean": faiss.METRIC_L2,
    "cosine": faiss.METRIC_L2,
    "manhattan": faiss.METRIC_L1,
}


@contextlib.contextmanager
def _faiss_threads(num_threads: int) -> Iterator[None]:
    """Set the number of Faiss threads for calls from this thread."""
    previous = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(num_threads)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(previous)


def _first_occurrences(classes: np.ndarray) -> np.ndarray:
    """Return (q, n) bool: True at the first occurrence of a class in its row."""
    order = np.argsort(classes, axis=1, kind="stable")
    ordered = np.take_along_axis(classes, order, axis=1)
    new = np.ones(classes.shape, bool)
    new[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    first = np.empty_like(new)
    np.put_along_axis(first, order, new, axis=1)
    return first


def _pad_columns(values: np.ndarray, k: int, fill: float) -> np.ndarray:
    return np.pad(values, ((0, 0), (0, k - values.shape[1])), constant_values=fill)
