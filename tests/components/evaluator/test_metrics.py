import numpy as np
import pytest

from diptych.components.evaluator import metrics
from diptych.components.evaluator.metrics import Judged
from diptych.components.evaluator.verdict import judge
from diptych.schemas.evaluate import Bars, Evaluate

# Examples 0, 1 are of class a, 2, 3 of class b. Pairs 0-1 and 2-3 are same.
LABELS = np.array([b"a", b"a", b"b", b"b"], object)
HAND_MADE = Judged(
    num_examples=4,
    left=np.array([0, 2, 0, 1]),
    right=np.array([1, 3, 2, 3]),
    same=np.array([1, 1, 0, 0]),
    distance=np.array([0.1, 0.8, 0.6, 0.9]),
)


def test_accuracy_counts_a_distance_up_to_the_threshold_as_same():
    assert metrics.accuracy(HAND_MADE, 0.5) == 0.75
    assert metrics.accuracy(HAND_MADE, 0.8) == 0.75
    assert metrics.accuracy(HAND_MADE, 0.05) == 0.5


def test_confusion():
    assert metrics.confusion(HAND_MADE, 0.7) == {
        "same_called_same": 1,
        "same_called_different": 1,
        "different_called_same": 1,
        "different_called_different": 1,
    }


def test_roc_auc_is_the_share_of_orders_that_are_right():
    # Same 0.1 is closer than 0.6 and 0.9, same 0.8 than 0.9 only: 3 of 4.
    assert metrics.roc_auc(HAND_MADE) == 0.75


def test_a_distance_turned_round_is_caught():
    perfect = Judged(4, HAND_MADE.left, HAND_MADE.right, HAND_MADE.same, np.array([0, 0, 1, 1.0]))
    turned = Judged(4, HAND_MADE.left, HAND_MADE.right, HAND_MADE.same, np.array([1, 1, 0, 0.0]))
    assert (metrics.accuracy(perfect, 0.5), metrics.roc_auc(perfect)) == (1, 1)
    assert (metrics.accuracy(turned, 0.5), metrics.roc_auc(turned)) == (0, 0)


def test_a_class_is_given_its_same_pairs_and_both_sides_of_the_different_ones():
    first, second = metrics.per_class(HAND_MADE, 0.7, LABELS)
    assert first == {
        "label": "a",
        "examples": 2,
        "pairs": 3,
        "accuracy": pytest.approx(2 / 3),  # 0-1 right, 0-2 wrong, 1-3 right
        "accuracy_same": 1.0,
        "accuracy_different": 0.5,
    }
    assert (second["label"], second["accuracy_same"]) == ("b", 0.0)


def test_the_interval_holds_the_accuracy_and_narrows_with_more_examples():
    def interval(examples):
        generator = np.random.default_rng(1)
        left = np.arange(examples - 1)
        same = generator.integers(0, 2, examples - 1)
        distance = np.where(generator.uniform(size=examples - 1) < 0.9, 1 - same, same)
        judged = Judged(examples, left, left + 1, same, distance)
        low, high = metrics.accuracy_interval(judged, 0.5, 300, seed=0)
        assert low <= metrics.accuracy(judged, 0.5) <= high
        return high - low

    assert interval(2000) < 0.5 * interval(100)


def test_pairs_of_one_example_do_not_pass_for_independent():
    # 400 pairs that all hang on example 0, and 400 of as many examples.
    many = np.arange(1, 401)
    same = np.ones(400, int)
    distance = np.where(many <= 200, 0.0, 1.0)
    star = Judged(401, np.zeros(400, int), many, same, distance)
    apart = Judged(800, np.arange(0, 800, 2), np.arange(1, 800, 2), same, distance)

    def width(judged):
        low, high = metrics.accuracy_interval(judged, 0.5, 400, seed=0)
        return high - low

    assert width(star) > 0.05
    assert width(apart) > 0.05


@pytest.mark.parametrize(
    ("accuracy", "baseline", "blessed"),
    [(0.9, None, True), (0.79, None, False), (0.9, 0.904, True), (0.9, 0.91, False)],
)
def test_the_verdict_follows_the_bars(accuracy, baseline, blessed):
    verdict = judge(accuracy, baseline, Evaluate(bars=Bars(accuracy=0.8), max_drop=0.005))
    assert verdict.blessed is blessed
    assert len(verdict.rules) == 2


def test_the_verdict_names_figure_and_bar():
    verdict = judge(0.9, 0.93, Evaluate(bars=Bars(accuracy=0.8), max_drop=0.005))
    assert "accuracy 90.00% reaches the bar of 80.00%" in verdict.reason
    assert "falls behind the model blessed before: 93.00%" in verdict.reason
