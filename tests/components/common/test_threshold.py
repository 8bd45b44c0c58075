import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.common.threshold import (
    best_threshold,
    check_threshold_criterion,
    choose_threshold,
)
from diptych.schemas.config.train import FalseAcceptRate
from diptych.schemas.errors import DataError

# Positive pairs at 0.1, 0.2, 0.5, 0.6; negative ones at 0.3, 0.7, 0.8, 0.9.
DISTANCE = np.array([0.9, 0.1, 0.6, 0.3, 0.2, 0.8, 0.5, 0.7])
SAME = np.array([0, 1, 1, 0, 1, 0, 1, 0])

random_pairs = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.integers(0, 1)),
    min_size=1,
    max_size=30,
)
positive_and_negative = random_pairs.filter(lambda pairs: len({same for _, same in pairs}) == 2)
CUTS = [-0.1, 0.0, 0.25, 0.5, 0.75, 1.0]  # every way to separate the distances above


def arrays(pairs):
    return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])


def false_accept_rate(pairs, cut):
    distances = [distance for distance, same in pairs if not same]
    return sum(distance <= cut for distance in distances) / len(distances)


def false_reject_rate(pairs, cut):
    distances = [distance for distance, same in pairs if same]
    return sum(distance > cut for distance in distances) / len(distances)


def test_the_threshold_is_in_the_middle_of_the_gap():
    threshold, accuracy = best_threshold(np.array([0.1, 0.3, 0.7, 0.9]), np.array([1, 1, 0, 0]))
    assert threshold == pytest.approx(0.5)
    assert accuracy == 1


def test_one_misclassified_pair_reduces_the_accuracy():
    threshold, accuracy = best_threshold(
        np.array([0.1, 0.2, 0.3, 0.4, 0.9]), np.array([1, 1, 0, 1, 0])
    )
    assert threshold == pytest.approx(0.65)
    assert accuracy == pytest.approx(0.8)


def test_an_inverted_model_is_no_better_than_a_constant_verdict():
    assert best_threshold(np.array([0.9, 0.8, 0.1, 0.2]), np.array([1, 1, 0, 0]))[1] == 0.5


@given(random_pairs)
def test_no_other_threshold_is_more_accurate(pairs):
    threshold, accuracy = best_threshold(*arrays(pairs))

    def accuracy_at(cut):
        return sum((d <= cut) == bool(s) for d, s in pairs) / len(pairs)

    assert accuracy == pytest.approx(max(accuracy_at(cut) for cut in CUTS))
    assert accuracy_at(threshold) == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("criterion", "threshold"),
    [
        ("best_accuracy", 0.65),  # one error: the negative pair at 0.3
        ("equal_error_rate", 0.55),  # one of four wrong on each side
        (FalseAcceptRate(false_accept_rate=0.5), 0.75),
        (FalseAcceptRate(false_accept_rate=0.49), 0.65),
        (FalseAcceptRate(false_accept_rate=0.25), 0.65),
        (FalseAcceptRate(false_accept_rate=0.24), 0.25),
    ],
)
def test_the_threshold_satisfies_the_criterion(criterion, threshold):
    assert choose_threshold(DISTANCE, SAME, criterion) == pytest.approx(threshold)


@given(positive_and_negative, st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.75]))
def test_the_threshold_is_the_largest_within_a_false_accept_rate(pairs, rate):
    criterion = FalseAcceptRate(false_accept_rate=rate)
    threshold = choose_threshold(*arrays(pairs), criterion)
    assert false_accept_rate(pairs, threshold) <= rate
    accepted = sum(distance <= threshold for distance, _ in pairs)
    for cut in CUTS:
        if false_accept_rate(pairs, cut) <= rate:
            assert sum(distance <= cut for distance, _ in pairs) <= accepted


@given(positive_and_negative)
def test_no_other_threshold_is_closer_to_the_equal_error_rate(pairs):
    threshold = choose_threshold(*arrays(pairs), "equal_error_rate")

    def gap(cut):
        return abs(false_accept_rate(pairs, cut) - false_reject_rate(pairs, cut))

    assert gap(threshold) == pytest.approx(min(gap(cut) for cut in CUTS))


def test_a_rate_that_too_few_negative_pairs_can_measure_is_rejected_before_training():
    criterion = FalseAcceptRate(false_accept_rate=0.01)
    check_threshold_criterion(criterion, 100)
    with pytest.raises(DataError, match=r"of 0\.01, .* at least 100 negative .* got 99\. Set a"):
        check_threshold_criterion(criterion, 99)
    with pytest.raises(DataError, match=r"got 0\."):
        check_threshold_criterion(criterion, 0)
    check_threshold_criterion("equal_error_rate", 1)
