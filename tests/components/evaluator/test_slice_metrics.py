import numpy as np
import pytest

from diptych.components.evaluator.evaluate import Outcome
from diptych.components.evaluator.scored_pairs import Judged
from diptych.components.evaluator.slice_metrics import judge_parts
from diptych.components.trainer.distances import LearnedL1, make_distance
from diptych.schemas.config.evaluate import Evaluate, FewShotPlan
from diptych.schemas.shards import SplitPairs

KINDS = ("euclidean", "squared_euclidean", "manhattan", "cosine", "learned_l1")
SETTINGS = Evaluate(
    bootstrap=20,
    false_accept_rates=(0.1,),
    few_shot=FewShotPlan(ways=(2, 4), shots=(1, 5), episodes=40),
)
TRAIN_SIZES = np.array([9, 30, 20])
PARTS, CLASSES = 6, 4  # classes 0 and 1 are seen, 2 and 3 are not


class Model:
    """A distance as an exported model has it."""

    def __init__(self, kind, learned=1.0):
        self.measured_by, self.distance_weights = kind, None
        self._layer = make_distance(kind)
        if isinstance(self._layer, LearnedL1):
            shape = (None, CLASSES)
            self._layer.build(shape, shape)
            weights = [np.full((CLASSES, 1), -8.0 * learned), np.array([4.0 * learned])]
            self._layer.set_weights(weights)
            self.distance_weights = np.array(self._layer.weights_of_parts, np.float32)

    def distance(self, left, right):
        return np.asarray(self._layer(left, right))


def parts_of(model, corner, classes, labels=None, seen=(0, 1)):
    """All pairs of examples near the corners that are given."""
    count = len(corner)
    noise = np.random.default_rng(0).normal(scale=0.05, size=(count, CLASSES))
    embedding = (np.eye(CLASSES)[corner] + noise).astype(np.float32)
    left, right = np.triu_indices(count, k=1)
    same = (classes[left] == classes[right]).astype(int)
    distance = model.distance(embedding[left], embedding[right])
    judged = Judged(count, left, right, same, distance)
    threshold = float(np.median(distance))
    nothing = np.empty(0, np.int64)
    labels = [b"%d" % one for one in classes] if labels is None else labels
    split = SplitPairs(
        ids=np.zeros((count, 16), np.uint8),
        shard=nothing,
        row=nothing,
        left=left,
        right=right,
        same=same,
        labels=np.array(labels, object),
        classes=np.where(np.isin(classes, seen), classes, -1),
        placed=[],
    )
    outcome = Outcome(embedding, judged, threshold)
    return judge_parts(outcome, split, TRAIN_SIZES, model, SETTINGS)


def searched(part):
    return [
        part.retrieval.recall_at_1.value,
        part.retrieval.recall_at_5.value,
        part.retrieval.map_at_r.value,
        *(one.accuracy.value for one in part.few_shot),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_alike_is_near_in_every_figure_of_every_slice(kind):
    corner = np.arange(CLASSES * PARTS) % CLASSES
    parts = parts_of(Model(kind), corner, classes=corner)
    every, seen, unseen = parts.slices[:3]
    assert [part.name for part in parts.slices] == ["all", "seen", "unseen", "rare", "common"]
    assert searched(every) == pytest.approx([1] * 7)  # 2 and 4 ways, 1 and 5 shots
    assert searched(seen) == searched(unseen) == pytest.approx([1] * 5)
    assert [part.verification.roc_auc.value for part in parts.slices[:3]] == pytest.approx([1] * 3)
    assert [one.recall_at_1 for one in parts.classes] == [1, 1, 1, 1]
    assert [one.seen for one in parts.classes] == [True, True, False, False]


@pytest.mark.parametrize("kind", KINDS)
def test_alike_in_other_classes_is_a_fault_in_every_figure(kind):
    corner = np.arange(CLASSES * PARTS) % CLASSES
    # Of the examples of a corner, each is of another class than the others near it.
    parts = parts_of(Model(kind), corner, classes=np.arange(CLASSES * PARTS) // PARTS)
    figures = searched(parts.slices[0])
    assert figures[0] <= 0.5
    assert figures[2] < 0.25
    assert all(accuracy < 0.6 for accuracy in figures[3:])


def test_a_learned_head_turned_round_finds_nothing():
    corner = np.arange(CLASSES * PARTS) % CLASSES
    parts = parts_of(Model("learned_l1", learned=-1.0), corner, classes=corner)
    assert searched(parts.slices[0]) == [0] * 7
    assert parts.slices[0].verification.roc_auc.value == 0


def test_seen_and_unseen_are_searched_apart_and_what_cannot_be_told_is_noted():
    corner = np.arange(CLASSES * PARTS) % CLASSES
    labels = [(b"x/%d" if one < 3 else b"y/%d") % one for one in corner]
    parts = parts_of(Model("euclidean"), corner, corner, labels, seen=(0, 1, 2))
    found = {part.name: part for part in parts.slices}
    assert list(found) == ["all", "seen", "unseen", "rare", "common", "x/", "y/"]
    assert (found["all"].retrieval.gallery, found["seen"].retrieval.gallery) == (24, 18)
    assert found["unseen"].retrieval is None
    assert found["unseen"].verification is None  # of one class, all pairs are same
    assert found["x/"].retrieval is None
    assert found["x/"].verification.examples == 18
    assert any(note.startswith("On unseen classes, retrieval needs two") for note in parts.notes)
    assert any(
        note.startswith("On seen classes, 4-way 1-shot needs 4 classes") for note in parts.notes
    )


def test_where_all_classes_are_seen_they_are_searched_once():
    corner = np.arange(CLASSES * PARTS) % 2
    parts = parts_of(Model("cosine"), corner, corner)
    every, seen = parts.slices[:2]
    assert seen == every.model_copy(update={"name": "seen"})
    assert not any("On seen" in note for note in parts.notes)
