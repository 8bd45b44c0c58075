"""End-to-end tests from embeddings to metrics that detect a distance with the wrong sign."""

import numpy as np
import pytest
from toy_evaluation import raw_distance

from diptych.components.common.threshold import best_threshold, choose_threshold
from diptych.components.evaluator.evaluation_report import build_evaluation_report
from diptych.components.evaluator.model_predictions import ModelPredictions
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.components.evaluator.slice_metrics import compute_pair_metrics
from diptych.components.trainer.distances import LearnedL1Distance, make_distance
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.config.train import FalseAcceptRate

DISTANCES = ("euclidean", "squared_euclidean", "manhattan", "cosine", "learned_l1")
CONFIG = EvaluateConfig(bootstrap=20, false_accept_rates=(0.1,))


def score_clusters(distance_name, weight_sign=1.0):
    """Embeddings of 24 examples in four clusters, one per class, and all of their pairs."""
    distance = make_distance(distance_name)
    cluster = np.arange(24) % 4
    noise = np.random.default_rng(0).normal(scale=0.05, size=(24, 4))
    embeddings = (np.eye(4)[cluster] + noise).astype(np.float32)
    left, right = np.triu_indices(24, k=1)
    if isinstance(distance, LearnedL1Distance):
        distance.build(embeddings.shape, embeddings.shape)
        # Larger differences reduce the log-odds of a positive pair.
        weights = np.full((4, 1), -8.0 * weight_sign)
        distance.set_weights([weights, np.array([4.0 * weight_sign])])
    pairs = ScoredPairs(
        *(24, left, right, (cluster[left] == cluster[right]).astype(int)),
        np.asarray(distance(embeddings[left], embeddings[right])),
    )
    return embeddings, pairs


def evaluate_model(predictions):
    return build_evaluation_report(
        predictions, None, raw_distance(0.6), compute_pair_metrics(predictions, CONFIG), 0.0, CONFIG
    )


@pytest.mark.parametrize("distance_name", DISTANCES)
def test_separated_clusters_have_perfect_metrics(distance_name):
    embeddings, pairs = score_clusters(distance_name)
    threshold, accuracy = best_threshold(pairs.distance, pairs.same)
    assert accuracy == 1
    report = evaluate_model(ModelPredictions(embeddings, pairs, threshold))
    assert report.blessed
    assert report.collapse is None
    metrics = report.pairs
    assert (metrics.roc_auc.value, metrics.equal_error_rate.value) == (pytest.approx(1), 0)
    assert metrics.tar_at_far[0].rate.value == 1
    calibrated = metrics.calibrated
    estimates = (calibrated.accuracy, calibrated.precision, calibrated.recall, calibrated.f1)
    assert [estimate.value for estimate in estimates] == [1, 1, 1, 1]
    assert calibrated.confusion.true_positives == int(pairs.same.sum())
    assert calibrated.confusion.true_negatives == int((1 - pairs.same).sum())


@pytest.mark.parametrize("distance_name", DISTANCES)
@pytest.mark.parametrize(
    "criterion", ["best_accuracy", "equal_error_rate", FalseAcceptRate(false_accept_rate=0.02)]
)
def test_thresholds_of_all_criteria_accept_the_positive_pairs(distance_name, criterion):
    _, pairs = score_clusters(distance_name)
    threshold = choose_threshold(pairs.distance, pairs.same, criterion)
    assert (pairs.distance <= threshold)[pairs.is_positive].all()
    assert (pairs.distance <= threshold)[~pairs.is_positive].mean() <= 0.02


def test_a_reversed_learned_distance_is_detected():
    embeddings, pairs = score_clusters("learned_l1", weight_sign=-1.0)
    threshold, accuracy = best_threshold(pairs.distance, pairs.same)
    assert accuracy < 0.85  # that of predicting all pairs negative
    report = evaluate_model(ModelPredictions(embeddings, pairs, threshold))
    assert report.pairs.roc_auc.value == 0
    assert report.collapse == "positive pairs are further apart than negative pairs"
    assert not report.blessed
