"""Projection of the embeddings to three dimensions by principal component analysis."""

import collections
import dataclasses
from collections.abc import Iterator

import numpy as np

from diptych.components.common.sampling import evenly_spaced

_MAX_POINTS = 1_000  # more would overlap, and make the file large
_MAX_FIT_EXAMPLES = 20_000
MAX_COLOURED_CLASSES = 20  # the other classes are grey
_NUM_COMPONENTS = 3


@dataclasses.dataclass(frozen=True)
class PcaProjection:
    """Evenly spaced examples in the space of the first principal components.

    Attributes:
      xyz: (n, 3) centred coordinates, scaled by one factor into the unit ball.
      group: (n,) indices into ``groups``, -1 for the other classes.
      groups: Names of the classes with the most points, sorted.
      seen: (n,) bool, the class occurs in the training split.
      num_examples: Number of examples from which the points were chosen.
      num_others: Number of classes that are not in ``groups``.
      explained_variance: Share of the variance explained by each component.
    """

    xyz: np.ndarray
    group: np.ndarray
    groups: list[str]
    seen: np.ndarray
    num_examples: int
    num_others: int
    explained_variance: tuple[float, ...]

    def rows(self) -> Iterator[tuple[float, float, int, bool]]:
        """Iterate over the first and second component, group and seen of each point."""
        x, y = self.xyz[:, 0].tolist(), self.xyz[:, 1].tolist()
        return zip(x, y, self.group.tolist(), self.seen.tolist(), strict=True)


def project_embeddings(
    embeddings: np.ndarray, labels: list[str], seen: np.ndarray
) -> PcaProjection | None:
    """Choose evenly spaced examples and project them.

    Args:
      embeddings: (n, d).
      labels: n class names; empty strings if the data are given pairs.
      seen: (n,) bool, the class occurs in the training split.

    Returns:
      The projection, or None if the embeddings are fewer than 3, not finite or all identical.
    """
    from sklearn.decomposition import PCA

    fit_examples = embeddings[evenly_spaced(len(embeddings), _MAX_FIT_EXAMPLES)].astype(np.float64)
    if (
        len(fit_examples) < 3
        or not np.isfinite(fit_examples).all()
        or np.ptp(fit_examples, axis=0).max() == 0
    ):
        return None
    pca = PCA(min(_NUM_COMPONENTS, *fit_examples.shape), svd_solver="full").fit(fit_examples)
    rows = evenly_spaced(len(embeddings), _MAX_POINTS)
    xyz = np.zeros((len(rows), _NUM_COMPONENTS))
    xyz[:, : pca.n_components_] = pca.transform(embeddings[rows])
    xyz /= np.linalg.norm(xyz, axis=1).max() or 1

    chosen = [labels[row] for row in rows]
    counts = collections.Counter(chosen)
    ranked = sorted(counts, key=lambda label: (-counts[label], label))
    groups = sorted(ranked[:MAX_COLOURED_CLASSES]) if any(ranked) else []
    index = {label: number for number, label in enumerate(groups)}
    return PcaProjection(
        xyz=xyz,
        group=np.array([index.get(label, -1) for label in chosen]),
        groups=groups,
        seen=seen[rows],
        num_examples=len(embeddings),
        num_others=len(ranked) - len(groups) if groups else 0,
        explained_variance=tuple(pca.explained_variance_ratio_.tolist()),
    )
