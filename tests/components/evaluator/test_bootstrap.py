import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.evaluator.bootstrap import (
    bootstrap_pair_weights,
    draw_bootstrap_counts,
    make_estimate,
)


@given(st.integers(1, 50), st.integers(1, 40), st.integers(0, 5))
def test_each_resample_has_the_size_of_the_data(examples, resamples, seed):
    counts = np.concatenate(list(draw_bootstrap_counts(examples, resamples, seed)))
    assert counts.shape == (resamples, examples)
    assert (counts.sum(axis=1) == examples).all()
    assert (counts >= 0).all()


def test_draws_do_not_depend_on_the_batch_size():
    one_batch = list(draw_bootstrap_counts(7, 100, seed=3))
    batches = list(draw_bootstrap_counts(7, 100, seed=3, width=2**15 + 1))  # 7 at a time
    assert len(one_batch) == 1
    assert len(batches) == 15
    assert np.array_equal(one_batch[0], np.concatenate(batches))


def test_different_seeds_give_different_draws():
    first, second = (next(draw_bootstrap_counts(50, 1, seed)) for seed in (0, 1))
    assert not np.array_equal(first, second)


def test_counts_have_mean_and_variance_of_a_multinomial_distribution():
    counts = np.concatenate(list(draw_bootstrap_counts(5, 20_000, seed=0)))
    assert counts.mean(axis=0) == pytest.approx(np.ones(5), abs=0.03)
    assert counts.var(axis=0) == pytest.approx(np.full(5, 0.8), abs=0.04)  # n p (1 - p)


def test_the_weight_of_a_pair_is_the_product_of_its_example_counts():
    counts = np.array([[2, 0, 3], [1, 1, 1]])
    left, right = np.array([0, 0, 1]), np.array([2, 1, 2])
    assert bootstrap_pair_weights(counts, left, right).tolist() == [[6, 0, 0], [1, 1, 1]]


def test_an_interval_is_the_middle_95_percent_of_the_defined_values():
    resampled = np.append(np.arange(201.0), [np.nan] * 9)
    estimate = make_estimate(7.0, resampled[::-1])
    assert (estimate.value, estimate.low, estimate.high) == (7.0, 5.0, 195.0)


@pytest.mark.parametrize(("value", "resampled"), [(None, [0.5, 0.5]), (0.5, [np.nan])])
def test_an_undefined_metric_has_no_interval(value, resampled):
    estimate = make_estimate(value, np.array(resampled))
    assert (estimate.value, estimate.low, estimate.high) == (value, None, None)
