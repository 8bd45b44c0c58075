from itertools import product

import numpy as np
import pytest
from quality.figures import mean_with_interval, one_shot_accuracy


def test_one_shot_accuracy_is_that_over_every_choice_of_known_examples():
    generator = np.random.default_rng(0)
    labels = np.array(["a"] * 3 + ["b"] * 2 + ["c"] * 4)
    # A few values only, so that there are ties.
    distance = generator.integers(0, 6, (9, 9)).astype(np.float32)
    for row in range(9):
        known = [[i for i in range(9) if labels[i] == name and i != row] for name in "abc"]
        told = []
        for choice in product(*known):
            own = next(i for i in choice if labels[i] == labels[row])
            others = [i for i in choice if i != own]
            told.append(all(distance[row, own] < distance[row, other] for other in others))
        assert one_shot_accuracy(distance, labels)[row] == pytest.approx(np.mean(told))


def test_one_shot_accuracy_of_classes_far_apart_is_one():
    places = np.array([0.0, 1.0, 10.0, 11.0])
    distance = abs(places[:, None] - places[None, :])
    assert one_shot_accuracy(distance, np.array(["a", "a", "b", "b"])).tolist() == [1, 1, 1, 1]


def test_an_interval_lies_around_its_mean():
    figure = mean_with_interval(np.repeat([0.0, 1.0], [30, 70]))
    low, high = figure.interval
    # Two standard errors of a share: 2 * sqrt(0.7 * 0.3 / 100).
    assert figure.value == pytest.approx(0.7)
    assert (low, high) == (pytest.approx(0.61, abs=0.02), pytest.approx(0.79, abs=0.02))
