import numpy as np
import pytest

from diptych.components.evaluator.class_metrics import compute_class_metrics, worst_classes
from diptych.components.evaluator.retrieval import evaluate_retrieval
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.schemas.evaluation import ClassMetrics

# Examples 0 and 1 are of class a, 2 and 3 of class b, 4 of class c, which is in no pair. Pairs 0-1
# and 2-3 are positive.
LABELS = np.array([b"a", b"a", b"b", b"b", b"c"], object)
SEEN = np.array([True, True, False, False, True])
PAIRS = ScoredPairs(
    num_examples=5,
    left=np.array([0, 2, 0, 1]),
    right=np.array([1, 3, 2, 3]),
    same=np.array([1, 1, 0, 0]),
    distance=np.array([0.1, 0.8, 0.6, 0.9]),
)


def test_a_negative_pair_counts_for_both_of_its_classes():
    embeddings = np.array([[0], [1], [2], [9], [9]], np.float32)
    retrieval = evaluate_retrieval(embeddings, np.array([0, 0, 1, 1, 2]), "euclidean")
    first, second, third = compute_class_metrics(PAIRS, 0.7, LABELS, SEEN, retrieval)
    assert first.model_dump() == {
        "label": "a",
        "seen": True,
        "examples": 2,
        "pairs": 3,
        "accuracy": pytest.approx(2 / 3),  # 0-1 correct, 0-2 wrong, 1-3 correct
        "accuracy_positive": 1.0,
        "accuracy_negative": 0.5,
        "recall_at_1": 0.5,  # the distance from 1 to 0 equals that to 2
    }
    assert (second.label, second.seen, second.accuracy_positive) == ("b", False, 0.0)
    # The nearest neighbour of 2 is 1, of class a; that of 9 is the 9 of class c.
    assert second.recall_at_1 == 0
    assert third.model_dump(exclude={"label", "seen", "examples"}) == {
        "pairs": 0,
        "accuracy": None,
        "accuracy_positive": None,
        "accuracy_negative": None,
        "recall_at_1": None,
    }


def test_recall_is_undefined_without_retrieval_results():
    metrics = compute_class_metrics(PAIRS, 0.7, LABELS, SEEN, None)
    assert [each.recall_at_1 for each in metrics] == [None, None, None]


def make_class_metrics(label, pairs, accuracy):
    return ClassMetrics(
        label=label,
        seen=True,
        examples=2,
        pairs=pairs,
        accuracy=accuracy,
        accuracy_positive=None,
        accuracy_negative=None,
        recall_at_1=None,
    )


def test_the_worst_classes_are_ranked_by_the_upper_confidence_bound():
    few_pairs = make_class_metrics("few pairs", pairs=2, accuracy=0.5)
    bad = make_class_metrics("bad", pairs=100, accuracy=0.7)
    worse = make_class_metrics("worse", pairs=100, accuracy=0.6)
    good = make_class_metrics("good", pairs=100, accuracy=0.95)
    perfect = make_class_metrics("perfect", pairs=3, accuracy=1.0)
    no_pairs = make_class_metrics("no pairs", pairs=0, accuracy=None)
    classes = [perfect, good, few_pairs, no_pairs, bad, worse]
    labels = [metrics.label for metrics in worst_classes(classes)]
    assert labels == ["worse", "bad", "few pairs", "good"]
    assert worst_classes(classes, n=1) == (worse,)
