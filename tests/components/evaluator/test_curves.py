"""The fast figures beside scikit-learn's, weighted and with ties, and by hand."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from diptych.components.evaluator.curves import Ranked, equal_error_rate, true_accept_cut
from diptych.components.evaluator.scored_pairs import Judged

RATES = (0.5, 0.25, 0.1, 0.01)


def judged(distance, same):
    rows = np.arange(len(same))
    return Judged(2 * len(same), rows, rows + len(same), np.array(same), np.array(distance))


def accepted(distance, same, weights=None):
    """Curves of weights in the order of the pairs, as a bootstrap gives them in that of Ranked."""
    ranked = Ranked(judged(distance, same))
    weights = np.ones((1, len(same)), np.int64) if weights is None else np.array(weights)
    return ranked, ranked.accepted(weights[:, ranked.left])


weighted_pairs = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 1), st.integers(0, 4), st.integers(0, 4)),
    min_size=2,
    max_size=40,
)


@settings(max_examples=40, deadline=None)  # scikit-learn takes 10 ms a figure
@given(weighted_pairs, st.sampled_from([-1.0, 0.0, 0.2, 0.35, 0.6, 9.0]))
def test_every_figure_is_that_of_scikit_learn(pairs, threshold):
    distance = np.array([pair[0] / 10 for pair in pairs])
    same = np.array([pair[1] for pair in pairs])
    weights = np.array([[pair[2] for pair in pairs], [pair[3] for pair in pairs]])
    ranked, curves = accepted(distance, same, weights)
    cut = ranked.cut(threshold)
    called = distance <= threshold
    far, tar = curves.rates()
    for row, weight in enumerate(weights):
        if not weight.sum():
            assert np.isnan(curves.accuracy(cut)[row])
            continue
        known = {"sample_weight": weight, "zero_division": np.nan}
        wanted = {
            curves.accuracy: metrics.accuracy_score(same, called, sample_weight=weight),
            curves.precision: metrics.precision_score(same, called, **known),
            curves.recall: metrics.recall_score(same, called, **known),
            curves.f1: metrics.f1_score(same, called, **known),
        }
        for figure, value in wanted.items():
            assert figure(cut)[row] == pytest.approx(value, nan_ok=True)
        if not weight[same == 1].sum() or not weight[same == 0].sum():
            assert np.isnan([curves.roc_auc()[row], equal_error_rate(far, tar)[row]]).all()
            assert np.isnan(tar[row]).all()
            continue
        auc = metrics.roc_auc_score(same, -distance, sample_weight=weight)
        assert curves.roc_auc()[row] == pytest.approx(auc)
        wanted_far, wanted_tar, _ = metrics.roc_curve(
            same, -distance, sample_weight=weight, drop_intermediate=False
        )
        for most in RATES:
            best = max(t for f, t in zip(wanted_far, wanted_tar, strict=True) if f <= most)
            assert tar[row, true_accept_cut(far, most)[row]] == pytest.approx(best)
        meeting = np.interp(0, wanted_far + wanted_tar - 1, wanted_far)
        assert equal_error_rate(far, tar)[row] == pytest.approx(meeting)


def test_a_pair_that_weighs_twice_counts_as_two_pairs():
    distance, same = [0.1, 0.4, 0.4, 0.8, 0.9], [1, 0, 1, 1, 0]
    _, weighted = accepted(distance, same, [[2, 1, 3, 0, 1]])
    _, listed = accepted([0.1, 0.1, 0.4, 0.4, 0.4, 0.4, 0.9], [1, 1, 0, 1, 1, 1, 0])
    assert weighted.roc_auc() == listed.roc_auc()
    assert weighted.accuracy(1) == listed.accuracy(1)


def test_a_threshold_accepts_a_distance_equal_to_it_also_in_single_precision():
    distance = np.array([0.1, 0.7, 0.7], np.float32)
    ranked = Ranked(judged(distance, [1, 1, 0]))
    for threshold, cut in ((0.05, 0), (0.1, 1), (0.69, 1), (0.7, 2), (1.0, 2)):
        assert ranked.cut(threshold) == cut == len(set(distance[distance <= threshold].tolist()))


def test_equal_error_rate_by_hand():
    # After 2 of 4 same and 1 of 2 different pairs, both errors are 1/2.
    far, tar = np.array([[0, 0, 0.5, 0.5, 1]]), np.array([[0, 0.25, 0.25, 0.5, 1]])
    assert equal_error_rate(far, tar) == [0.5]
    # On the line from (0, 0.6) to (1, 1): 1 - tar = far at far = 2/7.
    far, tar = np.array([[0, 0, 1]]), np.array([[0, 0.6, 1]])
    assert equal_error_rate(far, tar) == pytest.approx([2 / 7])


@pytest.mark.parametrize(("distance", "rate"), [([0, 0, 1, 1], 0), ([1, 1, 0, 0], 1)])
def test_equal_error_rate_of_the_perfect_and_of_the_perfectly_wrong(distance, rate):
    _, curves = accepted(np.array(distance, float), [1, 1, 0, 0])
    assert equal_error_rate(*curves.rates()) == [rate]


def test_true_accepts_are_those_of_a_threshold_and_not_between_two():
    far, tar = np.array([[0, 0, 0.5, 1]]), np.array([[0, 0.2, 0.9, 1]])
    assert [tar[0, true_accept_cut(far, most)[0]] for most in (0.4, 0.5, 0.9)] == [0.2, 0.9, 0.9]


def test_figures_without_pairs_of_a_kind_give_no_warning():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _, curves = accepted([0.1, 0.2], [1, 1], [[1, 1], [0, 0]])
        assert np.isnan(curves.roc_auc()).all()
        assert np.isnan(equal_error_rate(*curves.rates())).all()
        assert curves.accuracy(1).tolist()[0] == 0.5
