import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.trainer.threshold import best_threshold


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


@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]), st.integers(0, 1)),
        min_size=1,
        max_size=30,
    )
)
def test_no_other_threshold_is_better(pairs):
    distance = np.array([pair[0] for pair in pairs])
    same = np.array([pair[1] for pair in pairs])
    threshold, accuracy = best_threshold(distance, same)

    def right(cut):
        return sum((d <= cut) == bool(s) for d, s in pairs) / len(pairs)

    best = max(right(cut) for cut in [-0.1, 0.0, 0.1, 0.3, 0.6, 0.8, 1.0])
    assert accuracy == pytest.approx(best) or (best == right(-0.1) and distance.min() == 0)
    assert right(threshold) == pytest.approx(accuracy) or threshold == 0
