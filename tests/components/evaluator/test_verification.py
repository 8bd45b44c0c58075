import numpy as np
import pytest
from sklearn import metrics

from diptych.components.evaluator.scored_pairs import Judged
from diptych.components.evaluator.verification import can_tell, verify
from diptych.schemas.config.evaluate import Evaluate

# Examples 0, 1 are of one class, 2, 3 of another. Pairs 0-1 and 2-3 are same.
HAND_MADE = Judged(
    num_examples=4,
    left=np.array([0, 2, 0, 1]),
    right=np.array([1, 3, 2, 3]),
    same=np.array([1, 1, 0, 0]),
    distance=np.array([0.1, 0.8, 0.6, 0.9]),
)
SETTINGS = Evaluate(threshold=0.7, bootstrap=50, false_accept_rates=(0.5, 0.1))


def test_figures_by_hand():
    figures = verify(HAND_MADE, 0.2, SETTINGS)
    assert (figures.pairs, figures.same_pairs, figures.examples) == (4, 2, 4)
    # Same 0.1 is nearer than 0.6 and 0.9, same 0.8 than 0.9 only: 3 of 4.
    assert figures.roc_auc.value == 0.75
    assert figures.equal_error_rate.value == 0.5  # at 0.6
    fixed = figures.fixed
    assert fixed.threshold == 0.7
    assert tuple(fixed.confusion.model_dump().values()) == (1, 1, 1, 1)
    values = (fixed.accuracy, fixed.precision, fixed.recall, fixed.f1)
    assert [figure.value for figure in values] == [0.5, 0.5, 0.5, 0.5]
    calibrated = figures.calibrated
    assert tuple(calibrated.confusion.model_dump().values()) == (1, 1, 0, 2)
    values = (calibrated.accuracy, calibrated.precision, calibrated.recall, calibrated.f1)
    assert [figure.value for figure in values] == pytest.approx([0.75, 1, 0.5, 2 / 3])


def test_tar_at_far_is_of_the_largest_threshold_that_keeps_the_rate():
    half, tenth = verify(HAND_MADE, 0.2, SETTINGS).tar_at_far
    assert (half.false_accept_rate, half.threshold, half.rate.value) == (0.5, 0.8, 1.0)
    # Of two different pairs, a tenth cannot be told.
    assert (tenth.threshold, tenth.rate.value, tenth.rate.low) == (0.1, None, None)
    assert can_tell(HAND_MADE, 0.5)
    assert not can_tell(HAND_MADE, 0.499)


def test_nothing_is_accepted_where_the_nearest_are_different_pairs():
    turned = Judged(4, HAND_MADE.left, HAND_MADE.right, 1 - HAND_MADE.same, HAND_MADE.distance)
    (tar,) = verify(turned, 0.2, Evaluate(false_accept_rates=(0.5,), bootstrap=5)).tar_at_far
    assert (tar.threshold, tar.rate.value) == (0.6, 0.5)
    far = Evaluate(false_accept_rates=(0.4,), bootstrap=5)
    (tar,) = verify(turned, 0.2, far).tar_at_far
    assert 0 < tar.threshold < 0.1


def test_precision_does_not_exist_where_no_pair_is_called_same():
    figures = verify(HAND_MADE, 0.05, SETTINGS).calibrated
    assert (figures.precision.value, figures.precision.low) == (None, None)
    assert (figures.recall.value, figures.f1.value, figures.accuracy.value) == (0, 0, 0.5)


def test_one_resample_of_every_example_once_gives_the_figures_themselves(draw_judged, monkeypatch):
    once = np.ones((1, 20), np.int64)
    monkeypatch.setattr(
        "diptych.components.evaluator.verification.draw_times", lambda *_, **__: iter([once])
    )
    for seed in range(20):
        settings = Evaluate(threshold=4.5, bootstrap=1, false_accept_rates=(0.5, 0.1))
        figures = verify(draw_judged(seed, levels=4), 5.0, settings).model_dump()
        for figure in all_estimates(figures):
            assert figure["value"] is not None
            assert figure["low"] == pytest.approx(figure["value"])
            assert figure["high"] == pytest.approx(figure["value"])


def all_estimates(tree):
    if isinstance(tree, dict) and set(tree) == {"value", "low", "high"}:
        yield tree
    elif isinstance(tree, dict | tuple):
        for part in tree.values() if isinstance(tree, dict) else tree:
            yield from all_estimates(part)


def test_intervals_are_those_of_a_slow_loop_over_drawn_examples(draw_judged):
    judged = draw_judged(3, pairs=80, examples=25)
    settings = Evaluate(threshold=4.5, bootstrap=60, seed=11, false_accept_rates=(0.1,))
    figures = verify(judged, 4.8, settings)
    generator = np.random.default_rng(11)
    accuracies, areas = [], []
    for _ in range(60):
        drawn = generator.integers(0, 25, 25).tolist()
        rows = [
            row
            for row in range(80)
            for _ in range(drawn.count(judged.left[row]) * drawn.count(judged.right[row]))
        ]
        same, distance = judged.same[rows], judged.distance[rows]
        accuracies.append(np.mean((distance <= 4.8) == (same == 1)))
        areas.append(metrics.roc_auc_score(same, -distance))
    for figure, values in (
        (figures.calibrated.accuracy, accuracies),
        (figures.roc_auc, areas),
    ):
        assert [figure.low, figure.high] == pytest.approx(np.percentile(values, [2.5, 97.5]))


def test_figures_follow_from_data_settings_and_seed(draw_judged):
    judged = draw_judged(0)
    first, again = (verify(judged, 4.5, Evaluate(seed=1, bootstrap=40)) for _ in range(2))
    other = verify(judged, 4.5, Evaluate(seed=2, bootstrap=40))
    assert first == again
    assert first != other
    assert first.roc_auc.value == other.roc_auc.value


def test_an_interval_holds_its_figure_and_narrows_with_more_examples(draw_judged):
    def width(examples):
        judged = draw_judged(1, pairs=4 * examples, examples=examples, skill=2.0)
        figures = verify(
            judged, 5.0, Evaluate(threshold=4.5, bootstrap=200, false_accept_rates=(0.1,))
        )
        for figure in all_estimates(figures.model_dump()):
            assert figure["low"] <= figure["value"] <= figure["high"]
        return figures.roc_auc.high - figures.roc_auc.low

    assert width(1600) < 0.5 * width(100)


def test_pairs_of_one_example_do_not_pass_for_independent():
    # 400 pairs of 800 examples, and the same outcomes for 400 pairs of 30: a third of these are
    # told wrong in all of their pairs.
    generator = np.random.default_rng(0)
    left, right = generator.integers(0, 30, (2, 400))
    bad = generator.uniform(size=30) < 0.2
    wrong = bad[left] | bad[right]
    same = np.arange(400) % 2
    distance = np.where(wrong, same, 1 - same).astype(float)

    def width(judged):
        figure = verify(judged, 0.5, Evaluate(bootstrap=300)).calibrated.accuracy
        return figure.high - figure.low

    apart = width(Judged(800, np.arange(0, 800, 2), np.arange(1, 800, 2), same, distance))
    shared = width(Judged(30, left, right, same, distance))
    assert shared > 2 * apart


def test_pairs_among_some_examples_are_numbered_anew():
    some = HAND_MADE.among(np.array([True, False, True, True]))
    assert some.num_examples == 3
    assert some.left.tolist() == [1, 0]
    assert some.right.tolist() == [2, 1]
    assert some.same.tolist() == [1, 0]
    assert some.distance.tolist() == [0.8, 0.6]
