"""The embeddings in three dimensions, by principal components."""

import collections
import dataclasses
from collections.abc import Iterator

import numpy as np

_SHOWN = 1_000  # points; more would not be told apart, and make the file large
_FITTED = 20_000  # examples that the components are found from
COLOURED = 20  # classes with a colour and a shape of their own; the rest is grey
_DIMENSIONS = 3


@dataclasses.dataclass(frozen=True)
class Points:
    """Examples, evenly chosen, in the space of the first principal components.

    ``xyz`` (n, 3) is centred, and scaled as a whole into the unit ball. ``group`` (n,) is an index
    into ``groups``, the classes with the most points by name; -1 for the others.
    """

    xyz: np.ndarray
    group: np.ndarray
    groups: list[str]
    seen: np.ndarray  # (n,) bool
    num_examples: int  # of which these were chosen
    num_others: int  # classes without a colour
    explained: tuple[float, ...]  # share of the variance, of each component

    def rows(self) -> Iterator[tuple[float, float, int, bool]]:
        """First and second component, group and seen, of each point."""
        x, y = self.xyz[:, 0].tolist(), self.xyz[:, 1].tolist()
        return zip(x, y, self.group.tolist(), self.seen.tolist(), strict=True)


def project(embeddings: np.ndarray, labels: list[str], seen: np.ndarray) -> Points | None:
    """Chooses and projects.

    Args:
      embeddings: (n, d).
      labels: n names of classes; empty for data that came in pairs.
      seen: (n,) whether the class was in the training split.

    Returns:
      None where there is nothing to be seen: fewer than 3 examples, or all at one place.
    """
    from sklearn.decomposition import PCA

    fitted = embeddings[evenly(len(embeddings), _FITTED)].astype(np.float64)
    if len(fitted) < 3 or not np.isfinite(fitted).all() or np.ptp(fitted, axis=0).max() == 0:
        return None
    pca = PCA(min(_DIMENSIONS, *fitted.shape), svd_solver="full").fit(fitted)
    rows = evenly(len(embeddings), _SHOWN)
    xyz = np.zeros((len(rows), _DIMENSIONS))
    xyz[:, : pca.n_components_] = pca.transform(embeddings[rows])
    xyz /= np.linalg.norm(xyz, axis=1).max() or 1

    chosen = [labels[row] for row in rows]
    counts = collections.Counter(chosen)
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    groups = sorted(ranked[:COLOURED]) if any(ranked) else []
    index = {label: number for number, label in enumerate(groups)}
    return Points(
        xyz=xyz,
        group=np.array([index.get(label, -1) for label in chosen]),
        groups=groups,
        seen=seen[rows],
        num_examples=len(embeddings),
        num_others=len(ranked) - len(groups) if groups else 0,
        explained=tuple(pca.explained_variance_ratio_.tolist()),
    )


def evenly(count: int, wanted: int) -> np.ndarray:
    """At most ``wanted`` of ``count`` row numbers, at even steps."""
    return np.arange(wanted) * count // wanted if count > wanted else np.arange(count)
