"""Properties of all in-batch losses."""

import functools
import math

import keras
import numpy as np
import pytest
import slow_losses
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.trainer.distances import make_distance
from diptych.components.trainer.losses import (
    BatchTripletLoss,
    CircleLoss,
    MultiSimilarityLoss,
    SupervisedContrastiveLoss,
)


def triplet_loss(mining, distance, margin=0.4):
    slow = getattr(slow_losses, f"triplets_{mining}")
    return (
        BatchTripletLoss(margin, mining, make_distance(distance)),
        functools.partial(slow, margin=margin, distance_name=distance),
    )


LOSSES = {  # each with a slow loop over plain numbers
    "triplets_all": triplet_loss("all", "euclidean"),
    "triplets_all_cosine": triplet_loss("all", "cosine"),
    "triplets_hard": triplet_loss("hard", "squared_euclidean"),
    "triplets_semi_hard": triplet_loss("semi_hard", "euclidean"),
    "triplets_semi_hard_manhattan": triplet_loss("semi_hard", "manhattan"),
    "circle": (
        CircleLoss(margin=0.3, gamma=20.0),
        functools.partial(slow_losses.circle, margin=0.3, gamma=20.0),
    ),
    "circle_steep": (
        CircleLoss(margin=0.25, gamma=256.0),
        functools.partial(slow_losses.circle, margin=0.25, gamma=256.0),
    ),
    "multi_similarity": (
        MultiSimilarityLoss(alpha=3.0, beta=30.0, base=0.4, epsilon=0.2),
        functools.partial(
            slow_losses.multi_similarity, alpha=3.0, beta=30.0, base=0.4, epsilon=0.2
        ),
    ),
    "supervised_contrastive": (
        SupervisedContrastiveLoss(temperature=0.2),
        functools.partial(slow_losses.supervised_contrastive, temperature=0.2),
    ),
}
every_loss = pytest.mark.parametrize(("loss", "slow"), LOSSES.values(), ids=LOSSES)
LABELS = np.array([3, 8, 3, 5, 8, 3, 8, 1, 8])  # classes with 3, 4, 1 and 1 examples


def random_embeddings(seed, rows, size=3):
    return np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)


def value_and_gradient(loss, labels, embeddings):
    embeddings = tf.Variable(embeddings)
    with tf.GradientTape() as tape:
        value = loss(labels, embeddings)
    return float(value), tf.convert_to_tensor(tape.gradient(value, embeddings)).numpy()


def sums_and_counts(terms):
    sums = np.array([sum(anchor_terms) for anchor_terms in terms])
    return sums, np.array([len(anchor_terms) for anchor_terms in terms])


@every_loss
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=9), seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_the_terms_of_each_anchor_equal_a_slow_loop(loss, slow, labels, seed):
    embeddings = random_embeddings(seed, len(labels))
    sums, counts = loss.terms(np.array(labels), embeddings)
    slow_sums, slow_counts = sums_and_counts(slow(labels, embeddings))
    assert np.asarray(sums) == pytest.approx(slow_sums, rel=1e-4, abs=1e-5)
    assert np.asarray(counts).tolist() == slow_counts.tolist()


@every_loss
def test_two_rows_of_the_same_example_form_no_pair(loss, slow):
    embeddings, labels = random_embeddings(1, 5), np.array([0, 0, 1, 1, 1])
    embeddings[1] = embeddings[0]
    sums, counts = loss.terms(labels, embeddings, np.array([4, 4, 5, 6, 7]))
    # Without a positive, the repeated example is only a negative of the others.
    expected_sums, expected_counts = sums_and_counts(slow(np.array([0, 3, 1, 1, 1]), embeddings))
    assert np.asarray(counts).tolist() == [0, 0, *expected_counts[2:]]
    assert np.asarray(sums) == pytest.approx([0, 0, *expected_sums[2:]], rel=1e-4, abs=1e-5)


@every_loss
def test_a_call_returns_the_mean_over_all_terms(loss, slow):
    embeddings = random_embeddings(1, 9)
    terms = [term for anchor_terms in slow(LABELS, embeddings) for term in anchor_terms]
    assert len(terms) >= 7
    assert float(loss(LABELS, embeddings)) == pytest.approx(np.mean(terms), rel=1e-4)


@every_loss
def test_the_weighted_loss_is_the_weighted_sum_divided_by_the_number_of_terms(loss, slow):
    embeddings, weight = random_embeddings(1, 9), np.linspace(0.5, 3, 9, dtype=np.float32)
    slow_sums, slow_counts = sums_and_counts(slow(LABELS, embeddings))
    expected = (
        sum(w * value for w, value in zip(weight, slow_sums, strict=True)) / slow_counts.sum()
    )
    assert float(loss(LABELS, embeddings, sample_weight=weight)) == pytest.approx(
        expected, rel=1e-4
    )


@every_loss
def test_the_order_of_the_batch_does_not_matter(loss, slow):
    embeddings, order = random_embeddings(1, 9), np.random.default_rng(2).permutation(9)
    sums, counts = (np.asarray(array) for array in loss.terms(LABELS, embeddings))
    shuffled = [np.asarray(array) for array in loss.terms(LABELS[order], embeddings[order])]
    assert shuffled[0] == pytest.approx(sums[order], rel=1e-4, abs=1e-5)
    assert shuffled[1].tolist() == counts[order].tolist()


@every_loss
@pytest.mark.parametrize("labels", [[4, 4, 4, 4], [1, 2, 3, 4], [0]])
def test_the_loss_is_0_without_a_positive_or_a_negative(loss, slow, labels):
    value, gradient = value_and_gradient(loss, np.array(labels), random_embeddings(1, len(labels)))
    assert value == 0
    assert gradient.tolist() == np.zeros_like(gradient).tolist()


@every_loss
@pytest.mark.parametrize("labels", [[1, 1, 2, 2], [4, 4, 4, 4], [1, 2, 3, 3]])
@pytest.mark.parametrize("scale", [1.0, 0.0])
def test_the_gradient_of_equal_embeddings_is_finite(loss, slow, labels, scale):
    embeddings = np.full((4, 3), scale / math.sqrt(3), np.float32)
    value, gradient = value_and_gradient(loss, np.array(labels), embeddings)
    assert np.isfinite([value, *gradient.ravel()]).all()


@every_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("labels", [[1, 1, 2, 2, 3], [1, 1, 1, 1, 1], [1, 2, 3, 4, 5]])
def test_nan_in_gives_nan_out(loss, slow, bad, labels):
    embeddings = random_embeddings(1, 5)
    embeddings[4, 1] = bad
    # Graph optimization may drop a NaN.
    for call in (loss, tf.function(loss)):
        assert math.isnan(call(tf.constant(labels), tf.constant(embeddings)))
    assert np.isnan(np.asarray(loss.terms(np.array(labels), embeddings)[0])).all()


@every_loss
def test_a_few_steps_separate_the_classes(loss, slow):
    labels, embeddings = np.repeat([0, 1, 2], 3), tf.Variable(random_embeddings(6, 9))
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build([embeddings])

    @tf.function
    def step():
        units = tf.math.l2_normalize(embeddings, axis=1)
        with tf.GradientTape() as tape:
            value = loss(labels, tf.math.l2_normalize(embeddings, axis=1))
        optimizer.apply(tape.gradient(value, [embeddings]), [embeddings])
        return tf.matmul(units, units, transpose_b=True)

    for _ in range(150):
        cosine = step().numpy()
    same_class = labels[:, None] == labels[None, :]
    assert cosine[same_class].min() > cosine[~same_class].max() + 0.2


@every_loss
def test_graphs_accept_any_batch_size(loss, slow):
    specs = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 3], tf.float32)]
    call, terms = (tf.function(f, input_signature=specs) for f in (loss, loss.terms))
    for rows in (1, 5, 9):
        embeddings = random_embeddings(rows, rows)
        eager = loss.terms(LABELS[:rows], embeddings)
        for in_graph, expected in zip(terms(LABELS[:rows], embeddings), eager, strict=True):
            assert in_graph.numpy() == pytest.approx(np.asarray(expected), rel=1e-4, abs=1e-5)
        value = float(loss(LABELS[:rows], embeddings))
        assert float(call(LABELS[:rows], embeddings)) == pytest.approx(value, rel=1e-4, abs=1e-5)


@every_loss
def test_float16_embeddings_are_computed_in_float32(loss, slow):
    embeddings = tf.constant(random_embeddings(1, 9).astype(np.float16))
    float32_sums = loss.terms(LABELS, tf.cast(embeddings, tf.float32))[0]
    sums = loss.terms(LABELS, embeddings)[0]
    assert sums.dtype == tf.float32
    assert np.asarray(sums).tolist() == np.asarray(float32_sums).tolist()


@every_loss
def test_large_class_numbers_are_distinguished(loss, slow):
    embeddings = random_embeddings(1, 4)
    small, large = np.array([0, 1, 0, 1]), 2**24 + np.array([0, 1, 0, 1])
    assert float(loss(large, embeddings)) == float(loss(small, embeddings)) > 0


@every_loss
@pytest.mark.parametrize(
    ("labels", "embeddings"),
    [((4, 1), (4, 3)), ((4,), (5, 3)), ((1,), (4, 3)), ((4,), (4, 2, 3)), ((4,), (4,))],
)
def test_shapes_that_do_not_match_raise(loss, slow, labels, embeddings):
    labels, embeddings = np.ones(labels, np.int64), np.ones(embeddings, np.float32)
    for call in (loss, loss.terms):
        with pytest.raises(ValueError, match=rf"^{type(loss).__name__} expects labels of shape"):
            call(labels, embeddings)


@every_loss
def test_serialization_keeps_the_settings(loss, slow):
    loaded = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(loaded) is type(loss)
    assert loaded.get_config() == loss.get_config()
    embeddings = random_embeddings(1, 9)
    assert float(loaded(LABELS, embeddings)) == float(loss(LABELS, embeddings))
