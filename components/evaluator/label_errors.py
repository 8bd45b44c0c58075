"""Suspected label errors: examples whose nearest neighbours have another label.

Only examples that the model was not trained on are judged: a model can memorize the wrong label of
a training example, and then its embedding confirms the label. Training examples may be neighbours.
"""

import dataclasses

import numpy as np
import numpy.typing as npt

from diptych.components.evaluator.pairwise_distances import (
    F32,
    EmbeddingDistance,
    PairwiseDistances,
)

I64 = npt.NDArray[np.int64]
F64 = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]

MAX_NEIGHBOURS = 10
_MIN_NEIGHBOURS = 5  # with fewer, a majority may be chance
# Of the neighbours. If 5 % of the labels of separable classes are wrong, 99 % of the errors have at
# least 8 of 10 neighbours with the true label.
_MIN_SHARE = 0.8
# Fraction of the judged examples whose neighbours must agree with their label. Below it, the
# embedding does not know the classes, and its neighbours are not evidence.
_MIN_AGREEMENT = 0.7
# Fraction of a class above which it is confused with others as a class, not by single labels.
_MAX_CLASS_SHARE = 1 / 3
_DISTANCES_PER_BLOCK = 2**23


@dataclasses.dataclass(frozen=True)
class LabelErrors:
    """Suspected label errors among the judged examples, the highest score first.

    Attributes:
      row: (s,) rows of the suspected examples.
      suggested: (s,) class index that a clear majority of the neighbours has.
      score: (s,) scores in [0, 1].
      neighbours: (s, 10) rows of the nearest neighbours, the nearest first; -1 beyond the number
        of neighbours used.
      num_judged: Number of examples judged.
      num_too_rare: Number of held-out examples whose class has too few other examples.
      agreement: Fraction of the judged examples whose own class is the most frequent one among
        their neighbours; None without judged examples.
      confused: Class indices that are not reported, because the model confuses the class.
    """

    row: I64
    suggested: I64
    score: F64
    neighbours: I64
    num_judged: int
    num_too_rare: int
    agreement: float | None
    confused: tuple[int, ...] = ()

    @property
    def is_reliable(self) -> bool:
        """True if the neighbours agree with enough labels to be evidence against the others."""
        return self.agreement is not None and self.agreement >= _MIN_AGREEMENT


def find_label_errors(
    embeddings: F32, classes: I64, held_out: Mask, distance: EmbeddingDistance
) -> LabelErrors:
    """Find held-out examples whose nearest neighbours clearly have another label.

    Each held-out example is compared with its k nearest other examples; k is 10, or the number of
    other examples of its class if that is smaller, at least 5. It is suspected if 80 % of them have
    the same other label, and one of these is nearer than all examples of its own label. Its score
    is this share, multiplied by a / (a + b), where a and b are its distances to the nearest example
    of its own label and of the suggested one.

    Nothing is suspected if the neighbours agree with less than 70 % of the labels, or in a class of
    which more than a third would be suspected: then the embedding does not separate the classes.

    Memory: a few blocks of 2**23 distances. Time: held-out examples x all examples.

    Args:
      embeddings: (n, size) embeddings of held-out and training examples.
      classes: (n,) class index of each example, 0 .. c - 1.
      held_out: (n,) True for the examples that the model was not trained on.
      distance: Distance of the model.
    """
    sizes = np.bincount(classes)
    others = sizes[classes] - 1  # of the class of each example
    judged = np.flatnonzero(held_out & (others >= _MIN_NEIGHBOURS))
    num_too_rare = int(held_out.sum()) - len(judged)
    if not len(judged):
        return _no_label_errors(0, num_too_rare, None)
    distances = PairwiseDistances(embeddings, distance.distance_name, distance.distance_weights)
    used = np.minimum(others[judged], MAX_NEIGHBOURS)
    step = max(1, _DISTANCES_PER_BLOCK // len(classes))
    blocks = [
        _find_nearest(distances, judged[start : start + step], classes)
        for start in range(0, len(judged), step)
    ]
    neighbours = np.concatenate([nearest for nearest, _ in blocks])
    nearest_own = np.concatenate([own for _, own in blocks])
    neighbours[np.arange(MAX_NEIGHBOURS) >= used[:, None]] = -1
    own_votes, other_votes, other_column = _count_votes(neighbours, classes, classes[judged])
    agreement = float(np.mean(own_votes >= other_votes))
    own_distance, other_distance = (
        distance.distance(embeddings[judged], embeddings[nearest]).astype(np.float64)
        for nearest in (nearest_own, neighbours[np.arange(len(judged)), other_column])
    )
    has_majority = other_votes >= _MIN_SHARE * used
    suspected = np.flatnonzero(has_majority & (other_distance < own_distance))
    if agreement < _MIN_AGREEMENT:
        return _no_label_errors(len(judged), num_too_rare, agreement)
    num_judged = np.bincount(classes[judged], minlength=len(sizes))
    num_suspected = np.bincount(classes[judged[suspected]], minlength=len(sizes))
    is_confused = num_suspected > _MAX_CLASS_SHARE * num_judged
    suspected = suspected[~is_confused[classes[judged[suspected]]]]
    row, nearest_other = judged[suspected], neighbours[suspected, other_column[suspected]]
    own_distance, other_distance = own_distance[suspected], other_distance[suspected]
    share = other_votes[suspected] / used[suspected]
    score = share * own_distance / (own_distance + other_distance)
    order = np.argsort(-score, kind="stable")
    return LabelErrors(
        row=row[order],
        suggested=classes[nearest_other[order]],
        score=score[order],
        neighbours=neighbours[suspected[order]],
        num_judged=len(judged),
        num_too_rare=num_too_rare,
        agreement=agreement,
        confused=tuple(np.flatnonzero(is_confused).tolist()),
    )


def _no_label_errors(num_judged: int, num_too_rare: int, agreement: float | None) -> LabelErrors:
    none = np.empty(0, np.int64)
    return LabelErrors(
        row=none,
        suggested=none,
        score=np.empty(0),
        neighbours=np.empty((0, MAX_NEIGHBOURS), np.int64),
        num_judged=num_judged,
        num_too_rare=num_too_rare,
        agreement=agreement,
    )


def _find_nearest(distances: PairwiseDistances, rows: I64, classes: I64) -> tuple[I64, I64]:
    """Find the nearest other examples of m rows.

    Returns:
      (m, 10) rows, the nearest first, and (m,) the nearest row of the same class.
    """
    block = distances.from_rows(rows)
    block[np.arange(len(rows)), rows] = np.inf
    count = min(MAX_NEIGHBOURS, block.shape[1] - 1)
    candidates = np.sort(np.argpartition(block, count - 1, axis=1)[:, :count], axis=1)
    order = np.argsort(np.take_along_axis(block, candidates, axis=1), axis=1, kind="stable")
    nearest = np.full((len(rows), MAX_NEIGHBOURS), -1, np.int64)
    nearest[:, :count] = np.take_along_axis(candidates, order, axis=1)
    block[classes[rows][:, None] != classes] = np.inf
    return nearest, block.argmin(axis=1)


def _count_votes(neighbours: I64, classes: I64, own: I64) -> tuple[I64, I64, I64]:
    """Count the neighbours with the own label, and with the most frequent other label.

    Args:
      neighbours: (m, 10) rows of the neighbours, the nearest first; -1 is none.
      classes: (n,) class index of each example.
      own: (m,) class index of the judged examples.

    Returns:
      (m,) votes for the own label, (m,) votes for the other label, and (m,) the column of the
      nearest neighbour with the other label. Of equally frequent labels, the nearer one wins.
    """
    labels = np.where(neighbours >= 0, classes[neighbours], -1)
    is_own = labels == own[:, None]
    votes = (labels[:, :, None] == labels[:, None, :]).sum(axis=2)
    votes[is_own | (labels < 0)] = 0
    column = votes.argmax(axis=1)
    return is_own.sum(axis=1), votes[np.arange(len(own)), column], column
