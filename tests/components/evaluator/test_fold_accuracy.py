import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.evaluator.fold_accuracy import measure_fold_accuracy


def accuracy_by_loop(distance, same, fold):
    """For each fold, try every midpoint of the other folds; of the best ones, take the middle."""
    accuracies = []
    for number in sorted(set(fold)):
        train = sorted((d, s) for d, s, f in zip(distance, same, fold, strict=True) if f != number)
        values = sorted({d for d, _ in train})
        cuts = [
            (-np.inf, values[0]),
            *itertools.pairwise(values),
            (values[-1], np.inf),
        ]
        correct = [sum((d <= low) == bool(s) for d, s in train) for low, _ in cuts]
        best = [cut for cut, count in zip(cuts, correct, strict=True) if count == max(correct)]
        low, high = best[len(best) // 2]
        if np.isinf(low):
            threshold = (min(0.0, high - 1e-6) + high) / 2
        elif np.isinf(high):
            threshold = low
        else:
            threshold = (low + high) / 2
        test = [(d, s) for d, s, f in zip(distance, same, fold, strict=True) if f == number]
        accuracies.append(sum((d <= threshold) == bool(s) for d, s in test) / len(test))
    return accuracies


def test_each_fold_uses_the_threshold_of_the_others():
    distance = np.array([1, 4, 2, 6, 5, 9], np.float32)
    same = np.array([1, 0, 1, 0, 1, 0], np.int8)
    fold = np.array([0, 0, 1, 1, 2, 2])
    result = measure_fold_accuracy(distance, same, fold)
    # Without fold 0: positive at 2 and 5, negative at 6 and 9; 5.5. It accepts the pair at 4.
    # Without fold 1: positive at 1 and 5, negative at 4 and 9. 2.5 and 7 have one error each;
    # 7 is the later of the two middle cuts. It accepts the pair at 6.
    # Without fold 2: positive at 1 and 2, negative at 4 and 6; 3. It rejects the pair at 5.
    assert result.thresholds == (5.5, 7, 3)
    assert result.accuracies == (0.5, 0.5, 0.5)
    assert (result.mean, result.standard_error) == (0.5, 0)


def test_the_standard_error_is_that_of_the_mean_over_folds():
    distance = np.array([0, 1, 0, 1, 1, 0], np.float32)
    same = np.array([1, 0, 1, 0, 1, 0], np.int8)  # the last fold is reversed
    result = measure_fold_accuracy(distance, same, np.array([7, 7, 8, 8, 9, 9]))
    assert result.accuracies[2] == 0
    assert result.mean == pytest.approx(np.mean(result.accuracies))
    a = result.accuracies
    variance = sum((value - sum(a) / 3) ** 2 for value in a) / 2
    assert result.standard_error == pytest.approx((variance / 3) ** 0.5)


def test_a_single_fold_has_no_accuracy():
    assert measure_fold_accuracy(np.ones(4, np.float32), np.ones(4, np.int8), np.zeros(4)) is None


@given(
    seed=st.integers(0, 10_000),
    num_folds=st.integers(2, 5),
    levels=st.sampled_from([3, 1000]),
)
def test_accuracies_equal_those_of_a_loop_in_any_order(seed, num_folds, levels):
    generator = np.random.default_rng(seed)
    fold = np.repeat(np.arange(num_folds), 6)
    same = generator.integers(0, 2, len(fold)).astype(np.int8)
    distance = (generator.integers(1, levels + 1, len(fold)) / 8 + (1 - same)).astype(np.float32)
    result = measure_fold_accuracy(distance, same, fold)
    assert list(result.accuracies) == pytest.approx(
        accuracy_by_loop(distance.astype(np.float64).tolist(), same.tolist(), fold.tolist())
    )
    order = generator.permutation(len(fold))
    assert measure_fold_accuracy(distance[order], same[order], fold[order]) == result
