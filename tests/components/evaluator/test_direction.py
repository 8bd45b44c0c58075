"""From embeddings in which alike is plain to see to the figures: a sign turned round is caught."""

import numpy as np
import pytest

from diptych.components.evaluator.evaluate import Outcome, evaluate, whole_split
from diptych.components.evaluator.scored_pairs import Judged
from diptych.components.trainer.distances import LearnedL1, make_distance
from diptych.components.trainer.threshold import best_threshold, choose_threshold
from diptych.schemas.config.evaluate import Evaluate
from diptych.schemas.config.train import FalseAcceptRate

DISTANCES = ("euclidean", "squared_euclidean", "manhattan", "cosine", "learned_l1")
SETTINGS = Evaluate(bootstrap=20, false_accept_rates=(0.1,))


def judge(name, learned=1.0):
    """All pairs of 24 examples of four classes, each near its own corner."""
    distance = make_distance(name)
    corner = np.arange(24) % 4
    noise = np.random.default_rng(0).normal(scale=0.05, size=(24, 4))
    embedding = (np.eye(4)[corner] + noise).astype(np.float32)
    left, right = np.triu_indices(24, k=1)
    if isinstance(distance, LearnedL1):
        distance.build(embedding.shape, embedding.shape)
        # The more their parts differ, the lower the log-odds of the same.
        distance.set_weights([np.full((4, 1), -8.0 * learned), np.array([4.0 * learned])])
    judged = Judged(
        *(24, left, right, (corner[left] == corner[right]).astype(int)),
        np.asarray(distance(embedding[left], embedding[right])),
    )
    return embedding, judged


def verdict_on(outcome):
    return evaluate(outcome, None, (whole_split(outcome, SETTINGS),), SETTINGS)


@pytest.mark.parametrize("name", DISTANCES)
def test_alike_is_near_from_the_embedding_to_the_verdict(name):
    embedding, judged = judge(name)
    threshold, accuracy = best_threshold(judged.distance, judged.same)
    assert accuracy == 1
    found = verdict_on(Outcome(embedding, judged, threshold))
    assert found.blessed
    assert found.collapse is None
    pairs = found.pairs
    assert (pairs.roc_auc.value, pairs.equal_error_rate.value) == (pytest.approx(1), 0)
    assert pairs.tar_at_far[0].rate.value == 1
    at = pairs.calibrated
    values = (at.accuracy, at.precision, at.recall, at.f1)
    assert [figure.value for figure in values] == [1, 1, 1, 1]
    assert at.confusion.same_called_same == int(judged.same.sum())
    assert at.confusion.different_called_different == int((1 - judged.same).sum())


@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize(
    "target", ["best_accuracy", "equal_error_rate", FalseAcceptRate(false_accept_rate=0.02)]
)
def test_every_calibration_accepts_the_near(name, target):
    _, judged = judge(name)
    threshold = choose_threshold(judged.distance, judged.same, target)
    assert (judged.distance <= threshold)[judged.is_same].all()
    assert (judged.distance <= threshold)[~judged.is_same].mean() <= 0.02


def test_a_head_turned_round_is_caught_and_named():
    embedding, judged = judge("learned_l1", learned=-1.0)
    threshold, accuracy = best_threshold(judged.distance, judged.same)
    assert accuracy < 0.85  # as if all were different
    found = verdict_on(Outcome(embedding, judged, threshold))
    assert found.pairs.roc_auc.value == 0
    assert found.collapse == "same pairs are further apart than different ones"
    assert not found.blessed
