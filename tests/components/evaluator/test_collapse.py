import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from diptych.components.evaluator.collapse import describe_collapse, rule_of, spread_of
from diptych.schemas.evaluation import Estimate

CHANCE = Estimate(value=0.5, low=0.48, high=0.52)
GOOD = Estimate(value=0.99, low=0.98, high=1.0)


def scattered(n=200, size=8):
    return np.random.default_rng(0).normal(size=(n, size)).astype(np.float32)


def test_embeddings_that_are_alike_are_named():
    embedding = np.ones((200, 8), np.float32) + 1e-3 * scattered()
    distance = np.abs(scattered(500, 1)[:, 0])
    assert "all embeddings are alike" in describe_collapse(embedding, distance, CHANCE)


def test_embeddings_that_are_all_zero_are_named():
    zeros = np.zeros((5, 3), np.float32)
    assert spread_of(zeros) == 0
    assert "all embeddings are alike" in describe_collapse(zeros, np.zeros(9), CHANCE)


def test_distances_that_are_all_alike_are_named():
    for distance in (np.full(100, 1.0), np.zeros(100), 1 - 1e-5 * np.arange(100)):
        found = describe_collapse(scattered(), distance.astype(np.float32), CHANCE)
        assert "all pairs have one distance" in found


def test_chance_is_named_whatever_the_embeddings():
    distance = np.abs(scattered(500, 1)[:, 0])
    assert "no better than chance" in describe_collapse(scattered(), distance, CHANCE)


def test_pairs_told_the_wrong_way_round_are_named():
    distance = np.abs(scattered(500, 1)[:, 0])
    turned = Estimate(value=0.02, low=0.01, high=0.03)
    found = describe_collapse(scattered(), distance, turned)
    assert found == "same pairs are further apart than different ones"


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (0.99, 0.98, 1.0),
        (0.75, 0.40, 1.0),  # of a small test split
        (0.56, 0.45, 0.66),
        (0.53, 0.51, 0.55),  # hardly anything, but not nothing
    ],
)
def test_a_model_that_tells_pairs_has_not_collapsed(value, low, high):
    distance = np.abs(scattered(500, 1)[:, 0])
    roc_auc = Estimate(value=value, low=low, high=high)
    assert describe_collapse(scattered(), distance, roc_auc) is None


def test_a_good_model_has_not_collapsed_however_close_its_embeddings_lie():
    embedding = 100 + 1e-3 * scattered()
    distance = 1 + 1e-5 * np.arange(100)
    assert describe_collapse(embedding, distance, GOOD) is None


def test_spread_is_one_around_the_origin_and_zero_far_from_it():
    assert spread_of(np.array([[1.0, 0], [-1, 0]])) == 1
    assert spread_of(np.array([[1.0, 0], [0, 1]])) == pytest.approx(0.5)
    assert spread_of(np.array([[99.0, 1], [101, 1]])) == pytest.approx(1 / 10002)


def test_rounding_of_large_embeddings_is_no_spread():
    same = np.tile(np.float32([1234.567, -8765.432]), (100, 1))
    assert spread_of(same) < 1e-12


def test_no_random_model_of_a_thousand_pairs_passes_and_no_learned_one_is_called_collapsed():
    generator = np.random.default_rng(0)
    same = np.repeat([1, 0], 500)
    for skill, collapsed in ((0.0, True), (0.5, False)):
        for _ in range(20):
            distance = generator.normal(size=1000) + skill * (1 - same)
            value = roc_auc_score(same, -distance)
            roc_auc = Estimate(value=value, low=value - 0.04, high=value + 0.04)
            found = describe_collapse(scattered(), distance, roc_auc)
            assert (found is not None) is collapsed


def test_the_rule_says_how_and_by_which_figure():
    held = rule_of(None, GOOD)
    assert held.holds
    assert held.text == (
        "it has not collapsed: ROC AUC 0.9900, 95 % interval 0.9800 to 1.0000, where chance is 0.5"
    )
    failed = rule_of("all embeddings are alike", CHANCE)
    assert not failed.holds
    assert failed.text.startswith("it has collapsed: all embeddings are alike (ROC AUC 0.5000, ")
    assert (failed.figure, failed.bar, failed.better) == (0.5, 0.5, "higher")
