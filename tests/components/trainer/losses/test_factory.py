import math

import numpy as np
import pytest

from diptych.components.trainer import losses
from diptych.components.trainer.distances import make_distance
from diptych.components.trainer.losses import make_loss, make_pair_predictor
from diptych.schemas.config import model


@pytest.mark.parametrize(
    ("settings", "loss_class", "config"),
    [
        (model.Contrastive(margin=0.7), losses.ContrastiveLoss, {"margin": 0.7}),
        (model.CosineEmbedding(margin=0.3), losses.CosineEmbeddingLoss, {"margin": 0.3}),
        (model.BinaryCrossEntropy(), losses.BinaryCrossEntropyLoss, {}),
        (model.Triplet(margin=0.7, mining="given"), losses.TripletLoss, {"margin": 0.7}),
        (
            model.Triplet(margin=0.7, mining="hard"),
            losses.BatchTripletLoss,
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
def test_the_loss_has_the_configured_settings_and_no_reduction(settings, loss_class, config):
    distance = make_distance("manhattan")
    loss = make_loss(settings, distance)
    assert type(loss) is loss_class
    assert config.items() <= loss.get_config().items()
    assert loss.reduction == "none"
    if loss_class is losses.BatchTripletLoss:
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
def test_the_loss_defaults_equal_the_configuration_defaults(name):
    loss = getattr(losses, f"{name}Loss")()
    configured = make_loss(getattr(model, name)(), make_distance("euclidean"))
    assert loss.get_config() == configured.get_config() | {"reduction": loss.reduction}


def test_cross_entropy_takes_log_odds():
    distance = make_distance("learned_l1")
    distance.build((None, 2), (None, 2))
    predict = make_pair_predictor(model.BinaryCrossEntropy(), distance)
    embeddings = np.ones((1, 2), np.float32)
    distance.set_weights([np.zeros((2, 1)), np.array([math.log(4)])])
    assert float(predict(embeddings, embeddings)[0]) == pytest.approx(math.log(4))
    assert float(distance(embeddings, embeddings)[0]) == pytest.approx(0.2)


def test_cosine_embedding_takes_cosine_distances_for_any_model_distance():
    predict = make_pair_predictor(model.CosineEmbedding(), make_distance("euclidean"))
    left, right = np.array([[1, 0]], np.float32), np.array([[0, 1]], np.float32)
    assert float(predict(left, right)[0]) == pytest.approx(1.0)


@pytest.mark.parametrize("settings", [model.Contrastive(), model.Triplet(mining="given")])
def test_the_other_losses_take_the_distance_of_the_model(settings):
    distance = make_distance("manhattan")
    assert make_pair_predictor(settings, distance) is distance
