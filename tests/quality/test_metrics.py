from itertools import product

import numpy as np
import pytest
from quality.metrics import mean_with_interval, one_shot_accuracy


def test_one_shot_accuracy_is_the_mean_over_all_support_sets():
    generator = np.random.default_rng(0)
    labels = np.array(["a"] * 3 + ["b"] * 2 + ["c"] * 4)
    distance = generator.integers(0, 6, (9, 9)).astype(np.float32)  # few values, so there are ties
    for query in range(9):
        support = [[i for i in range(9) if labels[i] == name and i != query] for name in "abc"]
        correct = []
        for chosen in product(*support):
            own = next(i for i in chosen if labels[i] == labels[query])
            others = [i for i in chosen if i != own]
            correct.append(all(distance[query, own] < distance[query, other] for other in others))
        assert one_shot_accuracy(distance, labels)[query] == pytest.approx(np.mean(correct))


def test_one_shot_accuracy_of_separated_classes_is_one():
    embeddings = np.array([0.0, 1.0, 10.0, 11.0])
    distance = abs(embeddings[:, None] - embeddings[None, :])
    assert one_shot_accuracy(distance, np.array(["a", "a", "b", "b"])).tolist() == [1, 1, 1, 1]


def test_an_interval_is_two_standard_errors_around_the_mean():
    metric = mean_with_interval(np.repeat([0.0, 1.0], [30, 70]))
    low, high = metric.interval
    # Two standard errors of a proportion: 2 * sqrt(0.7 * 0.3 / 100).
    assert metric.value == pytest.approx(0.7)
    assert (low, high) == (pytest.approx(0.61, abs=0.02), pytest.approx(0.79, abs=0.02))
