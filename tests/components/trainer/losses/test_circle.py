"""Comparison of the circle loss with its paper and with ``keras.losses.Circle``."""

import keras
import numpy as np
import slow_losses
import tensorflow as tf

from diptych.components.trainer.losses import CircleLoss

LABELS = np.array([3, 8, 3, 8, 3])


def unit_embeddings(seed):
    embeddings = np.random.default_rng(seed).normal(size=(5, 3))
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def value_and_gradient(loss, embeddings):
    embeddings = tf.Variable(embeddings.astype(np.float32))
    with tf.GradientTape() as tape:
        value = loss(LABELS, embeddings)
    return float(value), tape.gradient(value, embeddings).numpy()


def numerical_gradient(embeddings, constant_weights):
    """Gradient by central differences."""
    gradient = np.zeros_like(embeddings)
    for index in np.ndindex(*embeddings.shape):
        sides = []
        for step in (1e-6, -1e-6):
            moved = embeddings.copy()
            moved[index] += step
            weight_embeddings = embeddings if constant_weights else moved
            terms = slow_losses.circle(LABELS, moved, 0.25, 8.0, weight_embeddings)
            sides.append(sum(term for anchor_terms in terms for term in anchor_terms) / 5)
        gradient[index] = (sides[0] - sides[1]) / 2e-6
    return gradient


def test_the_weights_are_constant_in_the_gradient():
    embeddings = unit_embeddings(4)
    _, gradient = value_and_gradient(CircleLoss(margin=0.25, gamma=8.0), embeddings)
    np.testing.assert_allclose(gradient, numerical_gradient(embeddings, True), rtol=1e-3, atol=1e-4)
    assert np.abs(gradient - numerical_gradient(embeddings, False)).max() > 0.1


def test_the_keras_loss_has_the_same_value_but_another_gradient():
    embeddings = unit_embeddings(4)
    value, gradient = value_and_gradient(CircleLoss(margin=0.25, gamma=8.0), embeddings)
    keras_value, keras_gradient = value_and_gradient(
        keras.losses.Circle(margin=0.25, gamma=8.0), embeddings
    )
    np.testing.assert_allclose(value, keras_value, rtol=1e-5)
    assert np.abs(gradient - keras_gradient).max() > 0.1
