"""Compare the fast metrics with scikit-learn's, with weights and ties, and with manual results."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from diptych.components.evaluator.curves import (
    SortedPairs,
    equal_error_rate,
    operating_point_at_far,
)
from diptych.components.evaluator.scored_pairs import ScoredPairs

FALSE_ACCEPT_RATES = (0.5, 0.25, 0.1, 0.01)


def make_pairs(distance, same):
    rows = np.arange(len(same))
    return ScoredPairs(2 * len(same), rows, rows + len(same), np.array(same), np.array(distance))


def count_accepted(distance, same, weights=None):
    """Sorted pairs and their counts; ``weights`` are in the order of the unsorted pairs."""
    ordered = SortedPairs(make_pairs(distance, same))
    weights = np.ones((1, len(same)), np.int64) if weights is None else np.array(weights)
    return ordered, ordered.count_accepted(weights[:, ordered.left])


# (distance in tenths, same, first weight, second weight)
weighted_pairs = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 1), st.integers(0, 4), st.integers(0, 4)),
    min_size=2,
    max_size=40,
)


@settings(max_examples=40, deadline=None)  # scikit-learn takes 10 ms per metric
@given(weighted_pairs, st.sampled_from([-1.0, 0.0, 0.2, 0.35, 0.6, 9.0]))
def test_all_metrics_equal_those_of_scikit_learn(pairs, threshold):
    distance = np.array([pair[0] / 10 for pair in pairs])
    same = np.array([pair[1] for pair in pairs])
    weights = np.array([[pair[2] for pair in pairs], [pair[3] for pair in pairs]])
    ordered, counts = count_accepted(distance, same, weights)
    point = ordered.operating_point(threshold)
    predicted = distance <= threshold
    far, tar = counts.rates()
    for row, weight in enumerate(weights):
        if not weight.sum():
            assert np.isnan(counts.accuracy(point)[row])
            continue
        options = {"sample_weight": weight, "zero_division": np.nan}
        expected = {
            counts.accuracy: metrics.accuracy_score(same, predicted, sample_weight=weight),
            counts.precision: metrics.precision_score(same, predicted, **options),
            counts.recall: metrics.recall_score(same, predicted, **options),
            counts.f1: metrics.f1_score(same, predicted, **options),
        }
        for metric, value in expected.items():
            assert metric(point)[row] == pytest.approx(value, nan_ok=True)
        if not weight[same == 1].sum() or not weight[same == 0].sum():
            assert np.isnan([counts.roc_auc()[row], equal_error_rate(far, tar)[row]]).all()
            assert np.isnan(tar[row]).all()
            continue
        auc = metrics.roc_auc_score(same, -distance, sample_weight=weight)
        assert counts.roc_auc()[row] == pytest.approx(auc)
        expected_far, expected_tar, _ = metrics.roc_curve(
            same, -distance, sample_weight=weight, drop_intermediate=False
        )
        for max_rate in FALSE_ACCEPT_RATES:
            best = max(t for f, t in zip(expected_far, expected_tar, strict=True) if f <= max_rate)
            assert tar[row, operating_point_at_far(far, max_rate)[row]] == pytest.approx(best)
        expected_eer = np.interp(0, expected_far + expected_tar - 1, expected_far)
        assert equal_error_rate(far, tar)[row] == pytest.approx(expected_eer)


def test_a_pair_of_weight_two_counts_as_two_pairs():
    distance, same = [0.1, 0.4, 0.4, 0.8, 0.9], [1, 0, 1, 1, 0]
    _, weighted = count_accepted(distance, same, [[2, 1, 3, 0, 1]])
    _, repeated = count_accepted([0.1, 0.1, 0.4, 0.4, 0.4, 0.4, 0.9], [1, 1, 0, 1, 1, 1, 0])
    assert weighted.roc_auc() == repeated.roc_auc()
    assert weighted.accuracy(1) == repeated.accuracy(1)


def test_a_threshold_accepts_an_equal_distance_also_in_single_precision():
    distance = np.array([0.1, 0.7, 0.7], np.float32)
    ordered = SortedPairs(make_pairs(distance, [1, 1, 0]))
    for threshold, point in ((0.05, 0), (0.1, 1), (0.69, 1), (0.7, 2), (1.0, 2)):
        num_distinct = len(set(distance[distance <= threshold].tolist()))
        assert ordered.operating_point(threshold) == point == num_distinct


def test_equal_error_rate_by_hand():
    # After 2 of 4 positive and 1 of 2 negative pairs, both errors are 1/2.
    far, tar = np.array([[0, 0, 0.5, 0.5, 1]]), np.array([[0, 0.25, 0.25, 0.5, 1]])
    assert equal_error_rate(far, tar) == [0.5]
    # On the line from (0, 0.6) to (1, 1): 1 - tar = far at far = 2/7.
    far, tar = np.array([[0, 0, 1]]), np.array([[0, 0.6, 1]])
    assert equal_error_rate(far, tar) == pytest.approx([2 / 7])


@pytest.mark.parametrize(("distance", "rate"), [([0, 0, 1, 1], 0), ([1, 1, 0, 0], 1)])
def test_equal_error_rate_of_a_perfect_and_of_a_reversed_ranking(distance, rate):
    _, counts = count_accepted(np.array(distance, float), [1, 1, 0, 0])
    assert equal_error_rate(*counts.rates()) == [rate]


def test_true_accept_rates_are_not_interpolated():
    far, tar = np.array([[0, 0, 0.5, 1]]), np.array([[0, 0.2, 0.9, 1]])
    rates = [tar[0, operating_point_at_far(far, max_rate)[0]] for max_rate in (0.4, 0.5, 0.9)]
    assert rates == [0.2, 0.9, 0.9]


def test_undefined_metrics_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, counts = count_accepted([0.1, 0.2], [1, 1], [[1, 1], [0, 0]])
        assert np.isnan(counts.roc_auc()).all()
        assert np.isnan(equal_error_rate(*counts.rates())).all()
        assert counts.accuracy(1).tolist()[0] == 0.5
