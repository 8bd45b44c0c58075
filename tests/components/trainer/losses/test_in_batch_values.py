"""Hand-computed values of the in-batch losses."""

import math

import numpy as np
import pytest

from diptych.components.trainer.distances import ManhattanDistance
from diptych.components.trainer.losses import (
    BatchTripletLoss,
    CircleLoss,
    MultiSimilarityLoss,
    SupervisedContrastiveLoss,
)

# Cosines: 0.6 (first, second), 0 (first, third), 0.8 (second, third). The third has no positive.
LABELS = np.array([7, 7, 2])
EMBEDDINGS = np.array([[1, 0], [0.6, 0.8], [0, 1]], np.float32)


def sums_and_counts(loss, labels, embeddings):
    return [np.asarray(array).tolist() for array in loss.terms(labels, embeddings)]


def mined_terms(mining, labels, positions, margin):
    embeddings = np.array(positions, np.float32)[:, None]
    return sums_and_counts(
        BatchTripletLoss(margin, mining, ManhattanDistance()), np.array(labels), embeddings
    )


@pytest.mark.parametrize(
    ("mining", "sums", "counts"),
    [
        # The anchors at 0 and 1 are 1 apart, those at 3 and 7 are 4 apart. Across: 3, 7, 2, 6.
        # 0: 1-3, 1-7.  1: 1-2, 1-6.  3: 4-3, 4-2.  7: 4-7, 4-6.  Each + 2, if above 0.
        ("all", [0, 1, 3 + 4, 0], [0, 1, 2, 0]),
        ("hard", [0, 1, 4, 0], [1, 1, 1, 1]),
        # 3 has no negative farther than its positive, so the farthest one, at 0, is used.
        ("semi_hard", [0, 1, 3, 0], [1, 1, 1, 1]),
    ],
)
def test_mined_triplet_losses_equal_hand_computed_values(mining, sums, counts):
    assert mined_terms(mining, [0, 0, 1, 1], [0, 1, 3, 7], margin=2) == [sums, counts]


def test_a_negative_as_far_as_the_positive_is_not_semi_hard():
    # From 0: positive 1; negatives 1 (equal) and 5 (farther): 1 - 5 + 5, not 1 - 1 + 5.
    sums, _ = mined_terms("semi_hard", [0, 0, 1, 1], [0, 1, -1, 5], margin=5)
    assert sums[0] == 1


def test_each_positive_has_a_different_semi_hard_negative():
    # From 0: positive 1 uses 2 (1 - 2 + 3), and positive 4 uses 6 (4 - 6 + 3).
    sums, counts = mined_terms("semi_hard", [0, 0, 0, 1, 1], [0, 1, 4, 2, 6], margin=3)
    assert (sums[0], counts[0]) == (2 + 1, 2)


def test_circle_loss_equals_hand_computed_values():
    # Weights 1.25 - 0.6 and 0.25 + cosine of the negative.
    first = 0.65 * (0.75 - 0.6) + 0.25 * (0 - 0.25)
    second = 0.65 * (0.75 - 0.6) + 1.05 * (0.8 - 0.25)
    expected = [math.log(1 + math.exp(10 * first)), math.log(1 + math.exp(10 * second)), 0]
    sums, counts = sums_and_counts(CircleLoss(margin=0.25, gamma=10), LABELS, EMBEDDINGS)
    assert sums == pytest.approx(expected, rel=1e-5)
    assert counts == [1, 1, 0]


def test_multi_similarity_loss_equals_hand_computed_values():
    # The first mines no pair: its negative, at 0, is far below its positive. Its term counts.
    second = math.log(1 + math.exp(-2 * 0.1)) / 2 + math.log(1 + math.exp(50 * 0.3)) / 50
    sums, counts = sums_and_counts(MultiSimilarityLoss(2, 50, 0.5, 0.1), LABELS, EMBEDDINGS)
    assert sums == pytest.approx([0, second, 0], rel=1e-5)
    assert counts == [1, 1, 0]


def test_supervised_contrastive_loss_equals_hand_computed_values():
    first = -math.log(math.exp(1.2) / (math.exp(1.2) + 1))
    second = -math.log(math.exp(1.2) / (math.exp(1.2) + math.exp(1.6)))
    sums, counts = sums_and_counts(SupervisedContrastiveLoss(0.5), LABELS, EMBEDDINGS)
    assert sums == pytest.approx([first, second, 0], rel=1e-5)
    assert counts == [1, 1, 0]


@pytest.mark.parametrize(
    ("loss", "arguments", "message"),
    [
        (BatchTripletLoss, {"margin": 0}, "margin must be above 0, got 0"),
        (BatchTripletLoss, {"mining": "given"}, "one of all, hard, semi_hard, got given"),
        (CircleLoss, {"margin": -0.1}, "margin must be above 0"),
        (CircleLoss, {"margin": 1}, "margin must be below 1, got 1"),
        (CircleLoss, {"gamma": 0}, "gamma must be above 0"),
        (MultiSimilarityLoss, {"alpha": 0}, "alpha must be above 0"),
        (MultiSimilarityLoss, {"beta": math.nan}, "beta must be above 0, got nan"),
        (MultiSimilarityLoss, {"base": 1.5}, "from -1 to 1, got 1.5"),
        (MultiSimilarityLoss, {"epsilon": -0.1}, "at least 0, got -0.1"),
        (SupervisedContrastiveLoss, {"temperature": 0}, "temperature must be above 0"),
    ],
)
def test_arguments_out_of_range_raise(loss, arguments, message):
    with pytest.raises(ValueError, match=message):
        loss(**arguments)
