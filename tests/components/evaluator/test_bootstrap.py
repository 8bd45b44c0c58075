import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.evaluator.bootstrap import draw_times, estimate, pair_weights


@given(st.integers(1, 50), st.integers(1, 40), st.integers(0, 5))
def test_as_many_examples_are_drawn_as_there_are(examples, resamples, seed):
    times = np.concatenate(list(draw_times(examples, resamples, seed)))
    assert times.shape == (resamples, examples)
    assert (times.sum(axis=1) == examples).all()
    assert (times >= 0).all()


def test_the_draws_do_not_depend_on_how_many_are_made_at_once():
    at_once = list(draw_times(7, 100, seed=3))
    some = list(draw_times(7, 100, seed=3, width=2**15 + 1))  # 7 at a time
    assert len(at_once) == 1
    assert len(some) == 15
    assert np.array_equal(at_once[0], np.concatenate(some))


def test_another_seed_draws_others():
    one, other = (next(draw_times(50, 1, seed)) for seed in (0, 1))
    assert not np.array_equal(one, other)


def test_an_example_is_drawn_once_on_average():
    times = np.concatenate(list(draw_times(5, 20_000, seed=0)))
    assert times.mean(axis=0) == pytest.approx(np.ones(5), abs=0.03)
    assert times.var(axis=0) == pytest.approx(np.full(5, 0.8), abs=0.04)  # n p (1 - p)


def test_a_pair_counts_as_often_as_its_two_examples_together():
    times = np.array([[2, 0, 3], [1, 1, 1]])
    left, right = np.array([0, 0, 1]), np.array([2, 1, 2])
    assert pair_weights(times, left, right).tolist() == [[6, 0, 0], [1, 1, 1]]


def test_an_interval_is_of_the_middle_95_percent_and_leaves_out_what_does_not_exist():
    resampled = np.append(np.arange(201.0), [np.nan] * 9)
    figure = estimate(7.0, resampled[::-1])
    assert (figure.value, figure.low, figure.high) == (7.0, 5.0, 195.0)


@pytest.mark.parametrize(("value", "resampled"), [(None, [0.5, 0.5]), (0.5, [np.nan])])
def test_there_is_no_interval_of_a_figure_that_does_not_exist(value, resampled):
    figure = estimate(value, np.array(resampled))
    assert (figure.value, figure.low, figure.high) == (value, None, None)
