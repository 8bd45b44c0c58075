import dataclasses

import numpy as np
import pytest
from scipy.stats import binom

from diptych.components.evaluator.baseline_comparison import compare, rule_of
from diptych.components.evaluator.scored_pairs import Judged
from diptych.schemas.config.evaluate import Evaluate
from diptych.schemas.evaluation import Comparison, Estimate

SETTINGS = Evaluate(bootstrap=200)


def with_right(told_right, examples=None):
    """Different pairs of as many examples, and a distance that is told right at 0.5 or not."""
    told_right = np.asarray(told_right)
    rows = np.arange(len(told_right))
    return Judged(
        examples or 2 * len(rows),
        *((rows, rows + len(rows)) if examples is None else (rows % examples, -rows % examples)),
        np.zeros(len(rows), int),
        told_right.astype(float),
    )


def compared(new, old, settings=SETTINGS, **kinds):
    return compare(with_right(new, **kinds), 0.5, with_right(old, **kinds), 0.5, settings)


def test_pairs_that_only_one_model_tells_right_are_counted():
    found = compared([1, 1, 1, 0, 0, 1], [1, 0, 0, 1, 0, 0])
    assert (found.only_candidate_right, found.only_baseline_right) == (3, 1)
    assert found.accuracy == pytest.approx(2 / 6)
    assert found.difference.value == pytest.approx(2 / 6)
    assert found.mcnemar_p == pytest.approx(2 * (1 + 4) / 16)  # 3 or more, or 1 or fewer, of 4


def test_each_model_is_judged_at_its_own_threshold(draw_judged):
    judged = draw_judged(0, pairs=200, skill=3.0)
    stretched = dataclasses.replace(judged, distance=judged.distance * 8)
    found = compare(judged, 5.5, stretched, 44.0, SETTINGS)
    assert found.threshold == 44.0
    assert found.difference.model_dump() == {"value": 0, "low": 0, "high": 0}


def test_the_p_value_is_that_of_as_many_tosses_of_a_coin():
    new, old = np.ones(40), np.ones(40)
    new[:9], old[9:30] = 0, 0
    tail = binom.cdf(9, 30, 0.5)
    assert compared(new, old).mcnemar_p == pytest.approx(2 * tail)


def test_the_interval_is_of_the_difference_on_the_same_resamples():
    # Both fail on the same half of the pairs: the accuracies vary, their difference does not.
    old = np.tile([0, 1], 200)
    new = old.copy()
    new[:40] = 1  # 20 more
    found = compared(new, old)
    assert found.difference.value == pytest.approx(0.05)
    assert 0 < found.difference.low < 0.05 < found.difference.high < 0.1


@pytest.mark.parametrize("resamples", [1, 50])
@pytest.mark.parametrize("max_drop", [0, 0.02])
def test_a_model_that_gives_the_same_answers_always_passes(draw_judged, resamples, max_drop):
    judged = draw_judged(0, pairs=3, examples=5, skill=0)
    rule = rule_of(compare(judged, 4.0, judged, 4.0, Evaluate(bootstrap=resamples)), max_drop)
    assert rule.holds
    assert rule.text.startswith("it keeps up with the model in production")


def comparison(value, low, high):
    return Comparison(
        threshold=0.5,
        accuracy=0.93,
        difference=Estimate(value=value, low=low, high=high),
        only_candidate_right=1,
        only_baseline_right=2,
        mcnemar_p=1,
    )


@pytest.mark.parametrize(
    ("difference", "holds", "says"),
    [
        (
            (0.01, -0.01, 0.03),
            True,
            "it keeps up with the model in production, 93.00% on the same",
        ),
        (
            (-0.01, -0.02, 0.0),
            True,
            "difference -1.00%, 95 % interval -2.00% to +0.00%, 2.00% less",
        ),
        ((-0.03, -0.05, -0.01), False, "it falls behind the model in production, 93.00%"),
        (
            (-0.01, -0.03, 0.01),
            False,
            "2.00% less allowed; the test split is too small to tell: raise evaluate.max_drop, or "
            "test on more data",
        ),
        ((0.01, -0.03, 0.05), False, "not shown to keep up"),
        ((0.0, None, None), False, "difference +0.00%, no interval"),
    ],
)
def test_the_lower_end_of_the_interval_decides(difference, holds, says):
    rule = rule_of(comparison(*difference), max_drop=0.02)
    assert (rule.holds, rule.figure, rule.bar) == (holds, difference[1], -0.02)
    assert (rule.name, rule.better) == ("max_drop", "higher")
    assert says in rule.text
