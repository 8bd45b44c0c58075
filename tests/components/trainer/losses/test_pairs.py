import math

import keras
import numpy as np
import pytest
import tensorflow as tf

from diptych.components.trainer.distances import EuclideanDistance
from diptych.components.trainer.losses import (
    BinaryCrossEntropyLoss,
    ContrastiveLoss,
    CosineEmbeddingLoss,
    TripletLoss,
)

SAME = np.array([1, 1, 1, 0, 0, 0, 0], np.int8)
LOSSES = {
    "contrastive": ContrastiveLoss,
    "cosine_embedding": CosineEmbeddingLoss,
    "binary_cross_entropy": BinaryCrossEntropyLoss,
    "triplet": TripletLoss,
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def test_contrastive_loss_equals_hand_computed_values():
    distance = np.array([0, 0.5, 3, 0, 0.25, 1, 3], np.float32)
    values = ContrastiveLoss(margin=1.0, reduction="none")(SAME, distance)
    # d**2 for positive pairs; (1 - d)**2 up to the margin for negative pairs.
    assert np.asarray(values).tolist() == [0, 0.25, 9, 1, 0.5625, 0, 0]


def test_cosine_embedding_loss_equals_hand_computed_values():
    distance = np.array([0, 0.25, 2, 0, 0.25, 0.75, 2], np.float32)
    values = CosineEmbeddingLoss(margin=0.5, reduction="none")(SAME, distance)
    # The distance for positive pairs; cosines 1, 0.75, 0.25, -1 minus 0.5 for negative pairs.
    assert np.asarray(values).tolist() == [0, 0.25, 2, 0.5, 0.25, 0, 0]


def test_cross_entropy_equals_hand_computed_values():
    logits = np.array([0, math.log(3), 200, 0, math.log(3), 200, -200], np.float32)
    values = BinaryCrossEntropyLoss(reduction="none")(SAME, logits)
    # Log-odds of log(3) are a probability of 3/4.
    expected = [math.log(2), math.log(4 / 3), 0, math.log(2), math.log(4), 200, 0]
    assert np.asarray(values) == pytest.approx(expected, abs=1e-6)


def test_triplet_loss_equals_hand_computed_values():
    positive = np.array([0, 1, 2, 1], np.float32)
    negative = np.array([3, 1, 0.5, 1.25], np.float32)
    values = TripletLoss(margin=0.5, reduction="none")(positive, negative)
    assert np.asarray(values).tolist() == [0, 0.5, 2, 0.25]


def test_losses_equal_slow_loops():
    generator = np.random.default_rng(3)
    same = generator.integers(0, 2, 50)
    predictions, negative_distances = generator.uniform(0, 2, (2, 50)).astype(np.float32)
    slow = {"contrastive": [], "cosine_embedding": [], "binary_cross_entropy": [], "triplet": []}
    columns = same, predictions.astype(float), negative_distances.astype(float)
    for y, d, negative_distance in zip(*columns, strict=True):
        slow["contrastive"].append(d * d if y == 1 else max(0.7 - d, 0) ** 2)
        slow["cosine_embedding"].append(d if y == 1 else max((1 - d) - 0.2, 0))
        probability = 1 / (1 + math.exp(-d))
        slow["binary_cross_entropy"].append(-math.log(probability if y == 1 else 1 - probability))
        slow["triplet"].append(max(d - negative_distance + 0.7, 0))
    fast = {
        "contrastive": ContrastiveLoss(0.7, reduction="none")(same, predictions),
        "cosine_embedding": CosineEmbeddingLoss(0.2, reduction="none")(same, predictions),
        "binary_cross_entropy": BinaryCrossEntropyLoss(reduction="none")(same, predictions),
        "triplet": TripletLoss(0.7, reduction="none")(predictions, negative_distances),
    }
    for name, values in slow.items():
        assert np.asarray(fast[name]) == pytest.approx(values, rel=1e-5, abs=1e-6), name


@every_loss
def test_the_weighted_loss_is_the_weighted_sum_divided_by_the_number_of_rows(loss):
    generator = np.random.default_rng(5)
    same, predictions = generator.integers(0, 2, 9), generator.uniform(0, 2, 9).astype(np.float32)
    weight = generator.uniform(0.5, 3, 9).astype(np.float32)
    values = np.asarray(loss(reduction="none")(same, predictions), np.float64)
    expected = sum(w * value for w, value in zip(weight, values, strict=True)) / 9
    weighted = float(loss()(same, predictions, sample_weight=weight))
    assert weighted == pytest.approx(expected, rel=1e-5)


@every_loss
@pytest.mark.parametrize("shape", [(4, 1), (), (1,), (5,), (4, 4)])
def test_shapes_that_would_broadcast_raise(loss, shape):
    for shapes in ((shape, (4,)), ((4,), shape)):
        with pytest.raises(ValueError, match=rf"^{loss.__name__} expects .* same shape \(m,\)"):
            loss()(*(np.ones(each, np.float32) for each in shapes))


@every_loss
def test_nan_in_gives_nan_out(loss):
    predictions = np.array([np.nan, 1, np.nan], np.float32)
    values = np.asarray(loss(reduction="none")(np.array([1, 1, 0]), predictions))
    assert np.isnan(values).tolist() == [True, False, True]


@every_loss
def test_graphs_accept_any_number_of_pairs(loss):
    specs = [tf.TensorSpec([None], tf.int8), tf.TensorSpec([None], tf.float32)]
    loss = loss(reduction="none")
    graph = tf.function(loss, input_signature=specs)
    for rows in (1, 7):
        predictions = np.linspace(0, 2, rows, dtype=np.float32)
        eager = np.asarray(loss(SAME[:rows], predictions))
        assert graph(SAME[:rows], predictions).numpy() == pytest.approx(eager)


@every_loss
def test_float16_inputs_are_computed_in_float32(loss):
    predictions = np.linspace(0, 2, 7).astype(np.float16)
    values = loss(reduction="none")(SAME, tf.constant(predictions))
    expected = loss(reduction="none")(SAME, predictions.astype(np.float32))
    assert values.dtype == tf.float32
    assert np.asarray(values).tolist() == np.asarray(expected).tolist()


def test_the_gradient_of_equal_embeddings_is_finite():
    left = tf.Variable(np.ones((2, 3), np.float32))
    with tf.GradientTape() as tape:
        distance = EuclideanDistance()(left, np.ones((2, 3), np.float32))
        loss = ContrastiveLoss()(np.array([0, 1]), distance) + TripletLoss()(distance, distance)
    assert np.isfinite(tape.gradient(loss, left).numpy()).all()


def test_the_gradient_of_a_triplet_flows_to_both_distances():
    positive, negative = tf.Variable([1.0]), tf.Variable([0.9])
    with tf.GradientTape() as tape:
        loss = TripletLoss(margin=0.5)(positive, negative)
    assert [float(gradient[0]) for gradient in tape.gradient(loss, [positive, negative])] == [1, -1]


@pytest.mark.parametrize("loss", [ContrastiveLoss, TripletLoss])
@pytest.mark.parametrize("margin", [0, -1, math.nan])
def test_a_margin_that_is_not_positive_raises(loss, margin):
    with pytest.raises(ValueError, match=f"margin must be above 0, got {margin}"):
        loss(margin=margin)


@pytest.mark.parametrize("margin", [1, -1.5, math.nan])
def test_a_margin_that_is_not_a_cosine_raises(margin):
    with pytest.raises(ValueError, match=f"at least -1 and below 1, got {margin}"):
        CosineEmbeddingLoss(margin=margin)


@pytest.mark.parametrize(
    "loss",
    [
        ContrastiveLoss(0.3, name="a", reduction="none"),
        CosineEmbeddingLoss(0.3, name="b", reduction="sum"),
        TripletLoss(0.3, name="c"),
        BinaryCrossEntropyLoss(name="d", reduction="none"),
    ],
)
def test_serialization_keeps_the_settings(loss):
    loaded = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(loaded) is type(loss)
    assert loaded.get_config() == loss.get_config()
    predictions = np.linspace(0, 2, 7, dtype=np.float32)
    expected = np.asarray(loss(SAME, predictions)).tolist()
    assert np.asarray(loaded(SAME, predictions)).tolist() == expected
