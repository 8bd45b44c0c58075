import numpy as np
import pytest
from sklearn import metrics

from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.components.evaluator.verification import (
    compute_verification_metrics,
    is_far_measurable,
)
from diptych.schemas.config.evaluate import EvaluateConfig

# Examples 0 and 1 are of one class, 2 and 3 of another. Pairs 0-1 and 2-3 are positive.
PAIRS = ScoredPairs(
    num_examples=4,
    left=np.array([0, 2, 0, 1]),
    right=np.array([1, 3, 2, 3]),
    same=np.array([1, 1, 0, 0]),
    distance=np.array([0.1, 0.8, 0.6, 0.9]),
)
CONFIG = EvaluateConfig(threshold=0.7, bootstrap=50, false_accept_rates=(0.5, 0.1))


def test_metrics_by_hand():
    verification = compute_verification_metrics(PAIRS, 0.2, CONFIG)
    counts = (verification.pairs, verification.positive_pairs, verification.examples)
    assert counts == (4, 2, 4)
    # The positive 0.1 is below the negative 0.6 and 0.9, the positive 0.8 only below 0.9: 3 of 4.
    assert verification.roc_auc.value == 0.75
    assert verification.equal_error_rate.value == 0.5  # at 0.6
    fixed = verification.fixed
    assert fixed.threshold == 0.7
    assert tuple(fixed.confusion.model_dump().values()) == (1, 1, 1, 1)
    estimates = (fixed.accuracy, fixed.precision, fixed.recall, fixed.f1)
    assert [estimate.value for estimate in estimates] == [0.5, 0.5, 0.5, 0.5]
    calibrated = verification.calibrated
    assert tuple(calibrated.confusion.model_dump().values()) == (1, 1, 0, 2)
    estimates = (calibrated.accuracy, calibrated.precision, calibrated.recall, calibrated.f1)
    values = [estimate.value for estimate in estimates]
    assert values == pytest.approx([0.75, 1, 0.5, 2 / 3])


def test_tar_at_far_is_at_the_largest_threshold_that_keeps_the_rate():
    half, tenth = compute_verification_metrics(PAIRS, 0.2, CONFIG).tar_at_far
    assert (half.false_accept_rate, half.threshold, half.rate.value) == (0.5, 0.8, 1.0)
    # Two negative pairs cannot measure a rate of 0.1.
    assert (tenth.threshold, tenth.rate.value, tenth.rate.low) == (0.1, None, None)
    assert is_far_measurable(PAIRS, 0.5)
    assert not is_far_measurable(PAIRS, 0.499)


def test_no_pair_is_accepted_if_the_nearest_is_negative():
    inverted = ScoredPairs(4, PAIRS.left, PAIRS.right, 1 - PAIRS.same, PAIRS.distance)

    def tar_at_far(false_accept_rate):
        config = EvaluateConfig(false_accept_rates=(false_accept_rate,), bootstrap=5)
        (tar,) = compute_verification_metrics(inverted, 0.2, config).tar_at_far
        return tar

    tar = tar_at_far(0.5)
    assert (tar.threshold, tar.rate.value) == (0.6, 0.5)
    assert 0 < tar_at_far(0.4).threshold < 0.1


def test_precision_is_undefined_if_no_pair_is_accepted():
    calibrated = compute_verification_metrics(PAIRS, 0.05, CONFIG).calibrated
    assert (calibrated.precision.value, calibrated.precision.low) == (None, None)
    values = (calibrated.recall.value, calibrated.f1.value, calibrated.accuracy.value)
    assert values == (0, 0, 0.5)


def test_a_resample_with_each_example_once_gives_the_original_metrics(draw_pairs, monkeypatch):
    ones = np.ones((1, 20), np.int64)
    monkeypatch.setattr(
        "diptych.components.evaluator.verification.draw_bootstrap_counts",
        lambda *_, **__: iter([ones]),
    )
    config = EvaluateConfig(threshold=4.5, bootstrap=1, false_accept_rates=(0.5, 0.1))
    for seed in range(20):
        verification = compute_verification_metrics(draw_pairs(seed, levels=4), 5.0, config)
        for estimate in find_estimates(verification.model_dump()):
            assert estimate["value"] is not None
            assert estimate["low"] == pytest.approx(estimate["value"])
            assert estimate["high"] == pytest.approx(estimate["value"])


def find_estimates(tree):
    if isinstance(tree, dict) and set(tree) == {"value", "low", "high"}:
        yield tree
    elif isinstance(tree, dict | tuple):
        for child in tree.values() if isinstance(tree, dict) else tree:
            yield from find_estimates(child)


def test_intervals_equal_those_of_a_slow_loop_over_drawn_examples(draw_pairs):
    pairs = draw_pairs(3, pairs=80, examples=25)
    config = EvaluateConfig(threshold=4.5, bootstrap=60, seed=11, false_accept_rates=(0.1,))
    verification = compute_verification_metrics(pairs, 4.8, config)
    generator = np.random.default_rng(11)
    accuracies, roc_aucs = [], []
    for _ in range(60):
        drawn = generator.integers(0, 25, 25).tolist()
        rows = [
            row
            for row in range(80)
            for _ in range(drawn.count(pairs.left[row]) * drawn.count(pairs.right[row]))
        ]
        same, distance = pairs.same[rows], pairs.distance[rows]
        accuracies.append(np.mean((distance <= 4.8) == (same == 1)))
        roc_aucs.append(metrics.roc_auc_score(same, -distance))
    for estimate, values in (
        (verification.calibrated.accuracy, accuracies),
        (verification.roc_auc, roc_aucs),
    ):
        assert [estimate.low, estimate.high] == pytest.approx(np.percentile(values, [2.5, 97.5]))


def test_metrics_are_determined_by_data_configuration_and_seed(draw_pairs):
    pairs = draw_pairs(0)

    def compute(seed):
        return compute_verification_metrics(pairs, 4.5, EvaluateConfig(seed=seed, bootstrap=40))

    first, repeated, other_seed = compute(1), compute(1), compute(2)
    assert first == repeated
    assert first != other_seed
    assert first.roc_auc.value == other_seed.roc_auc.value


def test_an_interval_includes_its_value_and_narrows_with_more_examples(draw_pairs):
    config = EvaluateConfig(threshold=4.5, bootstrap=200, false_accept_rates=(0.1,))

    def interval_width(examples):
        pairs = draw_pairs(1, pairs=4 * examples, examples=examples, skill=2.0)
        verification = compute_verification_metrics(pairs, 5.0, config)
        for estimate in find_estimates(verification.model_dump()):
            assert estimate["low"] <= estimate["value"] <= estimate["high"]
        return verification.roc_auc.high - verification.roc_auc.low

    assert interval_width(1600) < 0.5 * interval_width(100)


def test_pairs_that_share_examples_have_wider_intervals():
    # 400 pairs of 30 examples, some of which make all of their pairs wrong, and 400 pairs of 800
    # examples with the same outcomes.
    generator = np.random.default_rng(0)
    left, right = generator.integers(0, 30, (2, 400))
    bad = generator.uniform(size=30) < 0.2
    wrong = bad[left] | bad[right]
    same = np.arange(400) % 2
    distance = np.where(wrong, same, 1 - same).astype(float)

    def interval_width(pairs):
        config = EvaluateConfig(bootstrap=300)
        accuracy = compute_verification_metrics(pairs, 0.5, config).calibrated.accuracy
        return accuracy.high - accuracy.low

    disjoint = ScoredPairs(800, np.arange(0, 800, 2), np.arange(1, 800, 2), same, distance)
    shared = ScoredPairs(30, left, right, same, distance)
    assert interval_width(shared) > 2 * interval_width(disjoint)


def test_a_subset_keeps_the_pairs_of_its_examples_and_renumbers_them():
    subset = PAIRS.subset(np.array([True, False, True, True]))
    assert subset.num_examples == 3
    assert subset.left.tolist() == [1, 0]
    assert subset.right.tolist() == [2, 1]
    assert subset.same.tolist() == [1, 0]
    assert subset.distance.tolist() == [0.8, 0.6]
