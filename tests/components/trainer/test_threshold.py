import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.trainer.threshold import best_threshold, check_target, choose_threshold
from diptych.schemas.config.train import FalseAcceptRate
from diptych.schemas.errors import DataError

# Same pairs at 0.1, 0.2, 0.5, 0.6; different ones at 0.3, 0.7, 0.8, 0.9.
DISTANCE = np.array([0.9, 0.1, 0.6, 0.3, 0.2, 0.8, 0.5, 0.7])
SAME = np.array([0, 1, 1, 0, 1, 0, 1, 0])

some_pairs = st.lists(
    st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.integers(0, 1)),
    min_size=1,
    max_size=30,
)
both_kinds = some_pairs.filter(lambda pairs: len({same for _, same in pairs}) == 2)
CUTS = [-0.1, 0.0, 0.25, 0.5, 0.75, 1.0]  # every way to part the distances above


def arrays(pairs):
    return np.array([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs])


def false_accept_rate(pairs, cut):
    distances = [distance for distance, same in pairs if not same]
    return sum(distance <= cut for distance in distances) / len(distances)


def false_reject_rate(pairs, cut):
    distances = [distance for distance, same in pairs if same]
    return sum(distance > cut for distance in distances) / len(distances)


def test_it_lies_in_the_middle_of_the_gap():
    threshold, accuracy = best_threshold(np.array([0.1, 0.3, 0.7, 0.9]), np.array([1, 1, 0, 0]))
    assert threshold == pytest.approx(0.5)
    assert accuracy == 1


def test_one_wrong_pair_is_counted():
    threshold, accuracy = best_threshold(
        np.array([0.1, 0.2, 0.3, 0.4, 0.9]), np.array([1, 1, 0, 1, 0])
    )
    assert threshold == pytest.approx(0.65)
    assert accuracy == pytest.approx(0.8)


def test_a_model_turned_round_is_no_better_than_calling_all_the_same_or_all_different():
    assert best_threshold(np.array([0.9, 0.8, 0.1, 0.2]), np.array([1, 1, 0, 0]))[1] == 0.5


@given(some_pairs)
def test_no_other_threshold_is_better(pairs):
    threshold, accuracy = best_threshold(*arrays(pairs))

    def right(cut):
        return sum((d <= cut) == bool(s) for d, s in pairs) / len(pairs)

    assert accuracy == pytest.approx(max(right(cut) for cut in CUTS))
    assert right(threshold) == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("target", "threshold"),
    [
        ("best_accuracy", 0.65),  # one wrong: the different pair at 0.3
        ("equal_error_rate", 0.55),  # one of four wrong on either side
        (FalseAcceptRate(false_accept_rate=0.5), 0.75),
        (FalseAcceptRate(false_accept_rate=0.49), 0.65),
        (FalseAcceptRate(false_accept_rate=0.25), 0.65),
        (FalseAcceptRate(false_accept_rate=0.24), 0.25),
    ],
)
def test_the_threshold_follows_the_target(target, threshold):
    assert choose_threshold(DISTANCE, SAME, target) == pytest.approx(threshold)


@given(both_kinds, st.sampled_from([0.01, 0.1, 0.25, 0.5, 0.75]))
def test_a_false_accept_rate_is_kept_and_no_larger_threshold_keeps_it(pairs, rate):
    target = FalseAcceptRate(false_accept_rate=rate)
    threshold = choose_threshold(*arrays(pairs), target)
    assert false_accept_rate(pairs, threshold) <= rate
    accepted = sum(distance <= threshold for distance, _ in pairs)
    for cut in CUTS:
        if false_accept_rate(pairs, cut) <= rate:
            assert sum(distance <= cut for distance, _ in pairs) <= accepted


@given(both_kinds)
def test_at_equal_errors_no_other_threshold_brings_the_rates_nearer(pairs):
    threshold = choose_threshold(*arrays(pairs), "equal_error_rate")

    def gap(cut):
        return abs(false_accept_rate(pairs, cut) - false_reject_rate(pairs, cut))

    assert gap(threshold) == pytest.approx(min(gap(cut) for cut in CUTS))


def test_a_rate_that_the_calibration_split_cannot_tell_is_refused_before_the_training():
    target = FalseAcceptRate(false_accept_rate=0.01)
    check_target(target, 100)
    with pytest.raises(DataError, match=r"of 0.01, which needs 100 different .* are 99\. Ask for"):
        check_target(target, 99)
    with pytest.raises(DataError, match="are 0"):
        check_target(target, 0)
    check_target("equal_error_rate", 1)
