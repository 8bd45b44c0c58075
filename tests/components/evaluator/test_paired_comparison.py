import dataclasses

import numpy as np
import pytest
from scipy.stats import binom

from diptych.components.evaluator.paired_comparison import (
    check_accuracy_drop,
    check_beats_baseline,
    compare_paired,
)
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.evaluation import Estimate, PairedComparison

CONFIG = EvaluateConfig(bootstrap=200)


def pairs_with_outcomes(correct):
    """Negative pairs of distinct examples, classified correctly at threshold 0.5 or not."""
    correct = np.asarray(correct)
    rows = np.arange(len(correct))
    return ScoredPairs(
        2 * len(rows), rows, rows + len(rows), np.zeros(len(rows), int), correct.astype(float)
    )


def compare_outcomes(candidate, baseline):
    return compare_paired(
        *(pairs_with_outcomes(candidate), 0.5, pairs_with_outcomes(baseline), 0.5), CONFIG
    )


def test_pairs_that_only_one_model_classifies_correctly_are_counted():
    comparison = compare_outcomes([1, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 0])
    assert (comparison.only_candidate_correct, comparison.only_reference_correct) == (3, 1)
    assert comparison.accuracy == pytest.approx(2 / 6)
    assert comparison.difference.value == pytest.approx(2 / 6)
    # 3 or more, or 1 or fewer, of 4.
    assert comparison.mcnemar_p == pytest.approx(2 * (1 + 4) / 16)


def test_each_model_is_evaluated_at_its_own_threshold(draw_pairs):
    pairs = draw_pairs(0, pairs=200, skill=3.0)
    scaled = dataclasses.replace(pairs, distance=pairs.distance * 8)
    comparison = compare_paired(pairs, 5.5, scaled, 44.0, CONFIG)
    assert comparison.threshold == 44.0
    assert comparison.difference.model_dump() == {"value": 0, "low": 0, "high": 0}


def test_the_p_value_is_that_of_a_binomial_test_of_the_discordant_pairs():
    candidate, baseline = np.ones(40), np.ones(40)
    candidate[:9], baseline[9:30] = 0, 0
    tail = binom.cdf(9, 30, 0.5)
    assert compare_outcomes(candidate, baseline).mcnemar_p == pytest.approx(2 * tail)


def test_the_interval_of_the_difference_uses_the_same_resamples_for_both_models():
    # Both fail on the same half of the pairs: the accuracies vary, their difference does not.
    baseline = np.tile([0, 1], 200)
    candidate = baseline.copy()
    candidate[:40] = 1  # 20 more
    difference = compare_outcomes(candidate, baseline).difference
    assert difference.value == pytest.approx(0.05)
    assert 0 < difference.low < 0.05 < difference.high < 0.1


@pytest.mark.parametrize("resamples", [1, 50])
@pytest.mark.parametrize("max_accuracy_drop", [0, 0.02])
def test_a_model_with_equal_predictions_always_passes(draw_pairs, resamples, max_accuracy_drop):
    pairs = draw_pairs(0, pairs=3, examples=5, skill=0)
    config = EvaluateConfig(bootstrap=resamples)
    check = check_accuracy_drop(compare_paired(pairs, 4.0, pairs, 4.0, config), max_accuracy_drop)
    assert check.passed
    assert check.text.startswith("accuracy compared with the model in production (")


def make_comparison(value, low, high):
    return PairedComparison(
        threshold=0.5,
        accuracy=0.93,
        difference=Estimate(value=value, low=low, high=high),
        only_candidate_correct=1,
        only_reference_correct=2,
        mcnemar_p=1,
    )


@pytest.mark.parametrize(
    ("difference", "passed", "expected_text"),
    [
        (
            (0.01, -0.01, 0.03),
            True,
            "accuracy compared with the model in production (93.00% on the same pairs) is within ",
        ),
        (
            (-0.01, -0.02, 0.0),
            True,
            "the allowed drop of 2.00%: difference -1.00%, 95 % interval -2.00% to +0.00%",
        ),
        (
            (-0.03, -0.05, -0.01),
            False,
            "the model in production (93.00% on the same pairs) exceeds the allowed drop",
        ),
        (
            (-0.01, -0.03, 0.01),
            False,
            "; the test split is too small to decide: increase evaluate.max_accuracy_drop, or "
            "test on more data",
        ),
        ((0.01, -0.03, 0.05), False, "may exceed the allowed drop of 2.00%"),
        ((0.0, None, None), False, "difference +0.00%, no interval"),
    ],
)
def test_the_lower_end_of_the_interval_decides(difference, passed, expected_text):
    check = check_accuracy_drop(make_comparison(*difference), max_accuracy_drop=0.02)
    assert (check.passed, check.value, check.requirement) == (passed, difference[1], -0.02)
    assert (check.name, check.better) == ("max_accuracy_drop", "higher")
    assert expected_text in check.text


@pytest.mark.parametrize(
    ("difference", "passed", "expected_text"),
    [
        (
            (0.05, 0.01, 0.09),
            True,
            "accuracy is above that of the plain distance between inputs (93.00% on the same "
            "pairs): difference +5.00%, 95 % interval +1.00% to +9.00%",
        ),
        ((0.05, 0.0, 0.09), False, "the test split is too small to decide: test on more data, or "),
        ((0.0, 0.0, 0.0), False, "is as good as the model: difference +0.00%"),
        ((-0.05, -0.08, -0.02), False, "is more accurate than the model: difference -5.00%"),
        ((0.05, None, None), False, "difference +5.00%, no interval"),
    ],
)
def test_a_model_beats_the_baseline_if_the_complete_interval_is_above_0(
    difference, passed, expected_text
):
    check = check_beats_baseline(make_comparison(*difference))
    assert (check.name, check.passed, check.value) == ("beats_baseline", passed, difference[1])
    assert expected_text in check.text
    assert passed is ("evaluate.requirements.beats_baseline: false" not in check.text)


def test_a_perfect_model_does_not_beat_a_perfect_baseline(draw_pairs):
    pairs = draw_pairs(0, skill=100)
    check = check_beats_baseline(compare_paired(pairs, 50.0, pairs, 50.0, CONFIG))
    assert not check.passed
    assert "(100.00% on the same pairs) is as good as the model" in check.text
