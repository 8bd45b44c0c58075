import numpy as np
import pytest

from diptych.components.evaluator.class_metrics import class_figures, worst_classes
from diptych.components.evaluator.retrieval import retrieve
from diptych.components.evaluator.scored_pairs import Judged
from diptych.schemas.evaluation import ClassFigures

# Examples 0, 1 are of class a, 2, 3 of class b, 4 of class c, in no pair. Pairs 0-1, 2-3 are same.
LABELS = np.array([b"a", b"a", b"b", b"b", b"c"], object)
SEEN = np.array([True, True, False, False, True])
JUDGED = Judged(
    num_examples=5,
    left=np.array([0, 2, 0, 1]),
    right=np.array([1, 3, 2, 3]),
    same=np.array([1, 1, 0, 0]),
    distance=np.array([0.1, 0.8, 0.6, 0.9]),
)


def test_a_class_is_given_its_same_pairs_and_both_sides_of_the_different_ones():
    line = np.array([[0], [1], [2], [9], [9]], np.float32)
    found = retrieve(line, np.array([0, 0, 1, 1, 2]), "euclidean")
    first, second, third = class_figures(JUDGED, 0.7, LABELS, SEEN, found)
    assert first.model_dump() == {
        "label": "a",
        "seen": True,
        "examples": 2,
        "pairs": 3,
        "accuracy": pytest.approx(2 / 3),  # 0-1 right, 0-2 wrong, 1-3 right
        "accuracy_same": 1.0,
        "accuracy_different": 0.5,
        "recall_at_1": 0.5,  # 1 is as far from 0 as from 2
    }
    assert (second.label, second.seen, second.accuracy_same) == ("b", False, 0.0)
    assert second.recall_at_1 == 0  # 1 and 2, then 9: a comes first; 9 is as near to c
    assert third.model_dump(exclude={"label", "seen", "examples"}) == {
        "pairs": 0,
        "accuracy": None,
        "accuracy_same": None,
        "accuracy_different": None,
        "recall_at_1": None,
    }


def test_without_a_search_no_class_has_a_recall():
    figures = class_figures(JUDGED, 0.7, LABELS, SEEN, None)
    assert [one.recall_at_1 for one in figures] == [None, None, None]


def figures_of(label, pairs, accuracy):
    return ClassFigures(
        label=label,
        seen=True,
        examples=2,
        pairs=pairs,
        accuracy=accuracy,
        accuracy_same=None,
        accuracy_different=None,
        recall_at_1=None,
    )


def test_the_worst_classes_are_those_that_are_surely_bad():
    chance = figures_of("chance", pairs=2, accuracy=0.5)
    bad = figures_of("bad", pairs=100, accuracy=0.7)
    worse = figures_of("worse", pairs=100, accuracy=0.6)
    good = figures_of("good", pairs=100, accuracy=0.95)
    faultless = figures_of("faultless", pairs=3, accuracy=1.0)
    unjudged = figures_of("unjudged", pairs=0, accuracy=None)
    every = [faultless, good, chance, unjudged, bad, worse]
    assert [one.label for one in worst_classes(every)] == ["worse", "bad", "chance", "good"]
    assert worst_classes(every, n=1) == (worse,)
