import math

import numpy as np
import pytest

from diptych.components.trainer import losses
from diptych.components.trainer.distances import make_distance
from diptych.components.trainer.losses import make_loss, make_measure
from diptych.schemas.config import model


@pytest.mark.parametrize(
    ("settings", "kind", "config"),
    [
        (model.Contrastive(margin=0.7), losses.ContrastiveLoss, {"margin": 0.7}),
        (model.CosineEmbedding(margin=0.3), losses.CosineEmbeddingLoss, {"margin": 0.3}),
        (model.BinaryCrossEntropy(), losses.BinaryCrossEntropyLoss, {}),
        (model.Triplet(margin=0.7, mining="given"), losses.TripletLoss, {"margin": 0.7}),
        (
            model.Triplet(margin=0.7, mining="hard"),
            losses.TripletBatchLoss,
            {"margin": 0.7, "mining": "hard"},
        ),
        (model.Circle(margin=0.3, gamma=80), losses.CircleLoss, {"margin": 0.3, "gamma": 80}),
        (
            model.MultiSimilarity(alpha=3, beta=30, base=0.4, epsilon=0.2),
            losses.MultiSimilarityLoss,
            {"alpha": 3, "beta": 30, "base": 0.4, "epsilon": 0.2},
        ),
        (
            model.SupervisedContrastive(temperature=0.3),
            losses.SupervisedContrastiveLoss,
            {"temperature": 0.3},
        ),
    ],
)
def test_it_is_made_with_the_settings_and_leaves_the_weighing_to_the_caller(settings, kind, config):
    distance = make_distance("manhattan")
    loss = make_loss(settings, distance)
    assert type(loss) is kind
    assert config.items() <= loss.get_config().items()
    assert loss.reduction == "none"
    if kind is losses.TripletBatchLoss:
        assert loss.distance is distance


@pytest.mark.parametrize(
    "name",
    [
        "Contrastive",
        "CosineEmbedding",
        "Circle",
        "MultiSimilarity",
        "SupervisedContrastive",
    ],
)
def test_the_defaults_are_those_of_the_settings(name):
    loss = getattr(losses, f"{name}Loss")()
    made = make_loss(getattr(model, name)(), make_distance("euclidean"))
    assert loss.get_config() == made.get_config() | {"reduction": loss.reduction}


def test_cross_entropy_is_given_log_odds():
    distance = make_distance("learned_l1")
    distance.build((None, 2), (None, 2))
    measured = make_measure(model.BinaryCrossEntropy(), distance)
    embeddings = np.ones((1, 2), np.float32)
    distance.set_weights([np.zeros((2, 1)), np.array([math.log(4)])])
    assert float(measured(embeddings, embeddings)[0]) == pytest.approx(math.log(4))
    assert float(distance(embeddings, embeddings)[0]) == pytest.approx(0.2)


def test_cosine_embedding_is_given_cosine_distances_whatever_the_model_is_measured_by():
    measured = make_measure(model.CosineEmbedding(), make_distance("euclidean"))
    left, right = np.array([[1, 0]], np.float32), np.array([[0, 1]], np.float32)
    assert float(measured(left, right)[0]) == pytest.approx(1.0)


@pytest.mark.parametrize("settings", [model.Contrastive(), model.Triplet(mining="given")])
def test_the_others_are_given_the_distance_of_the_model(settings):
    distance = make_distance("manhattan")
    assert make_measure(settings, distance) is distance
