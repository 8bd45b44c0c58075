"""How the circle loss stands to its paper, and to the one of Keras."""

import keras
import numpy as np
import slow_losses
import tensorflow as tf

from diptych.components.trainer.losses import CircleLoss

LABELS = np.array([3, 8, 3, 8, 3])


def units(seed):
    embeddings = np.random.default_rng(seed).normal(size=(5, 3))
    return embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)


def gradient_of(loss, embeddings):
    embeddings = tf.Variable(embeddings.astype(np.float32))
    with tf.GradientTape() as tape:
        value = loss(LABELS, embeddings)
    return float(value), tape.gradient(value, embeddings).numpy()


def slow_gradient(embeddings, hold_weights):
    """By small steps of each number, to either side."""
    gradient = np.zeros_like(embeddings)
    for place in np.ndindex(*embeddings.shape):
        sides = []
        for step in (1e-6, -1e-6):
            moved = embeddings.copy()
            moved[place] += step
            weighed_by = embeddings if hold_weights else moved
            terms = slow_losses.circle(LABELS, moved, 0.25, 8.0, weighed_by)
            sides.append(sum(term for of_anchor in terms for term in of_anchor) / 5)
        gradient[place] = (sides[0] - sides[1]) / 2e-6
    return gradient


def test_its_gradient_is_that_with_constant_weights():
    embeddings = units(4)
    _, gradient = gradient_of(CircleLoss(margin=0.25, gamma=8.0), embeddings)
    np.testing.assert_allclose(gradient, slow_gradient(embeddings, True), rtol=1e-3, atol=1e-4)
    assert np.abs(gradient - slow_gradient(embeddings, False)).max() > 0.1


def test_it_has_the_value_of_that_of_keras_but_not_its_gradient():
    embeddings = units(4)
    value, gradient = gradient_of(CircleLoss(margin=0.25, gamma=8.0), embeddings)
    other_value, other = gradient_of(keras.losses.Circle(margin=0.25, gamma=8.0), embeddings)
    np.testing.assert_allclose(value, other_value, rtol=1e-5)
    assert np.abs(gradient - other).max() > 0.1
