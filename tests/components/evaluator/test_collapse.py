import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from diptych.components.evaluator.collapse import (
    check_collapse,
    describe_collapse,
    relative_variance,
)
from diptych.schemas.evaluation import Estimate

CHANCE = Estimate(value=0.5, low=0.48, high=0.52)
GOOD = Estimate(value=0.99, low=0.98, high=1.0)


def random_embeddings(n=200, size=8):
    return np.random.default_rng(0).normal(size=(n, size)).astype(np.float32)


def random_distances():
    return np.abs(random_embeddings(500, 1)[:, 0])


def test_nearly_identical_embeddings_are_described():
    embeddings = np.ones((200, 8), np.float32) + 1e-3 * random_embeddings()
    collapse = describe_collapse(embeddings, random_distances(), CHANCE)
    assert collapse == "all embeddings are nearly identical"


def test_zero_embeddings_are_described():
    zeros = np.zeros((5, 3), np.float32)
    assert relative_variance(zeros) == 0
    collapse = describe_collapse(zeros, np.zeros(9), CHANCE)
    assert collapse == "all embeddings are nearly identical"


def test_nearly_equal_distances_are_described():
    for distance in (np.full(100, 1.0), np.zeros(100), 1 - 1e-5 * np.arange(100)):
        collapse = describe_collapse(random_embeddings(), distance.astype(np.float32), CHANCE)
        assert collapse == "all pairs have nearly the same distance"


def test_a_roc_auc_at_chance_is_described():
    collapse = describe_collapse(random_embeddings(), random_distances(), CHANCE)
    assert "no better than chance" in collapse


def test_a_reversed_ranking_is_described():
    reversed_ranking = Estimate(value=0.02, low=0.01, high=0.03)
    collapse = describe_collapse(random_embeddings(), random_distances(), reversed_ranking)
    assert collapse == "positive pairs are further apart than negative pairs"


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (0.99, 0.98, 1.0),
        (0.75, 0.40, 1.0),  # small test split
        (0.56, 0.45, 0.66),
        (0.53, 0.51, 0.55),  # weak, but above chance
    ],
)
def test_a_model_that_separates_pairs_has_not_collapsed(value, low, high):
    roc_auc = Estimate(value=value, low=low, high=high)
    assert describe_collapse(random_embeddings(), random_distances(), roc_auc) is None


def test_a_good_model_has_not_collapsed_even_if_its_embeddings_are_close_together():
    embeddings = 100 + 1e-3 * random_embeddings()
    distance = 1 + 1e-5 * np.arange(100)
    assert describe_collapse(embeddings, distance, GOOD) is None


def test_relative_variance_is_one_around_the_origin_and_small_far_from_it():
    assert relative_variance(np.array([[1.0, 0], [-1, 0]])) == 1
    assert relative_variance(np.array([[1.0, 0], [0, 1]])) == pytest.approx(0.5)
    assert relative_variance(np.array([[99.0, 1], [101, 1]])) == pytest.approx(1 / 10002)


def test_rounding_of_large_equal_embeddings_does_not_count_as_variance():
    equal = np.tile(np.float32([1234.567, -8765.432]), (100, 1))
    assert relative_variance(equal) < 1e-12


def test_random_models_are_collapsed_and_trained_ones_are_not():
    generator = np.random.default_rng(0)
    same = np.repeat([1, 0], 500)
    for skill, is_collapsed in ((0.0, True), (0.5, False)):
        for _ in range(20):
            distance = generator.normal(size=1000) + skill * (1 - same)
            value = roc_auc_score(same, -distance)
            roc_auc = Estimate(value=value, low=value - 0.04, high=value + 0.04)
            collapse = describe_collapse(random_embeddings(), distance, roc_auc)
            assert (collapse is not None) is is_collapsed


def test_the_check_states_the_collapse_and_the_roc_auc():
    passed = check_collapse(None, GOOD)
    assert passed.passed
    assert passed.text == (
        "the embeddings have not collapsed: "
        "ROC AUC 0.9900, 95 % interval 0.9800 to 1.0000 (chance: 0.5)"
    )
    failed = check_collapse("all embeddings are nearly identical", CHANCE)
    assert not failed.passed
    assert failed.text.startswith(
        "the embeddings have collapsed: all embeddings are nearly identical; ROC AUC 0.5000, "
    )
    assert (failed.value, failed.requirement, failed.better) == (0.5, 0.5, "higher")
