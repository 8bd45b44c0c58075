"""What holds for every loss over a whole batch."""

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
    CircleLoss,
    MultiSimilarityLoss,
    SupervisedContrastiveLoss,
    TripletBatchLoss,
)


def triplets(mining, distance, margin=0.4):
    slow = getattr(slow_losses, f"triplets_{mining}")
    return (
        TripletBatchLoss(margin, mining, make_distance(distance)),
        functools.partial(slow, margin=margin, name=distance),
    )


LOSSES = {  # with the slow loop of the same settings
    "triplets_all": triplets("all", "euclidean"),
    "triplets_all_cosine": triplets("all", "cosine"),
    "triplets_hard": triplets("hard", "squared_euclidean"),
    "triplets_semi_hard": triplets("semi_hard", "euclidean"),
    "triplets_semi_hard_manhattan": triplets("semi_hard", "manhattan"),
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
LABELS = np.array([3, 8, 3, 5, 8, 3, 8, 1, 8])  # of 3, 4, 1 and 1 examples


def embeddings_of(seed, rows, size=3):
    return np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)


def value_and_gradient(loss, labels, embeddings):
    embeddings = tf.Variable(embeddings)
    with tf.GradientTape() as tape:
        value = loss(labels, embeddings)
    return float(value), tf.convert_to_tensor(tape.gradient(value, embeddings)).numpy()


def as_arrays(terms):
    return np.array([sum(some) for some in terms]), np.array([len(some) for some in terms])


@every_loss
@given(labels=st.lists(st.integers(0, 3), min_size=1, max_size=9), seed=st.integers(0, 2**32))
@settings(max_examples=15, deadline=None)
def test_the_terms_of_each_anchor_equal_a_slow_loop(loss, slow, labels, seed):
    embeddings = embeddings_of(seed, len(labels))
    sums, counts = loss.terms(np.array(labels), embeddings)
    slow_sums, slow_counts = as_arrays(slow(labels, embeddings))
    assert np.asarray(sums) == pytest.approx(slow_sums, rel=1e-4, abs=1e-5)
    assert np.asarray(counts).tolist() == slow_counts.tolist()


@every_loss
def test_two_rows_of_one_example_are_no_pair(loss, slow):
    embeddings, labels = embeddings_of(1, 5), np.array([0, 0, 1, 1, 1])
    embeddings[1] = embeddings[0]
    sums, counts = loss.terms(labels, embeddings, np.array([4, 4, 5, 6, 7]))
    # Without a positive, the class of the repeated example is one of negatives only.
    expected_sums, expected_counts = as_arrays(slow(np.array([0, 3, 1, 1, 1]), embeddings))
    assert np.asarray(counts).tolist() == [0, 0, *expected_counts[2:]]
    assert np.asarray(sums) == pytest.approx([0, 0, *expected_sums[2:]], rel=1e-4, abs=1e-5)


@every_loss
def test_called_it_is_the_mean_over_all_terms(loss, slow):
    embeddings = embeddings_of(1, 9)
    terms = [term for of_anchor in slow(LABELS, embeddings) for term in of_anchor]
    assert len(terms) >= 7
    assert float(loss(LABELS, embeddings)) == pytest.approx(np.mean(terms), rel=1e-4)


@every_loss
def test_weighted_it_is_the_sum_of_weights_and_terms_by_their_number(loss, slow):
    embeddings, weight = embeddings_of(1, 9), np.linspace(0.5, 3, 9, dtype=np.float32)
    slow_sums, slow_counts = as_arrays(slow(LABELS, embeddings))
    by_hand = sum(w * value for w, value in zip(weight, slow_sums, strict=True)) / slow_counts.sum()
    assert float(loss(LABELS, embeddings, sample_weight=weight)) == pytest.approx(by_hand, rel=1e-4)


@every_loss
def test_it_does_not_depend_on_the_order_of_the_batch(loss, slow):
    embeddings, order = embeddings_of(1, 9), np.random.default_rng(2).permutation(9)
    sums, counts = (np.asarray(some) for some in loss.terms(LABELS, embeddings))
    moved = [np.asarray(some) for some in loss.terms(LABELS[order], embeddings[order])]
    assert moved[0] == pytest.approx(sums[order], rel=1e-4, abs=1e-5)
    assert moved[1].tolist() == counts[order].tolist()


@every_loss
@pytest.mark.parametrize("labels", [[4, 4, 4, 4], [1, 2, 3, 4], [0]])
def test_without_a_positive_or_a_negative_it_is_0(loss, slow, labels):
    value, gradient = value_and_gradient(loss, np.array(labels), embeddings_of(1, len(labels)))
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
    embeddings = embeddings_of(1, 5)
    embeddings[4, 1] = bad
    # The graph is simplified before it runs, by rules that may drop a NaN.
    for call in (loss, tf.function(loss)):
        assert math.isnan(call(tf.constant(labels), tf.constant(embeddings)))
    assert np.isnan(np.asarray(loss.terms(np.array(labels), embeddings)[0])).all()


@every_loss
def test_a_few_steps_bring_classes_together_and_apart(loss, slow):
    labels, embeddings = np.repeat([0, 1, 2], 3), tf.Variable(embeddings_of(6, 9))
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
    same = labels[:, None] == labels[None, :]
    assert cosine[same].min() > cosine[~same].max() + 0.2


@every_loss
def test_the_number_of_examples_may_be_unknown(loss, slow):
    specs = [tf.TensorSpec([None], tf.int64), tf.TensorSpec([None, 3], tf.float32)]
    call, terms = (tf.function(some, input_signature=specs) for some in (loss, loss.terms))
    for rows in (1, 5, 9):
        embeddings = embeddings_of(rows, rows)
        eager = loss.terms(LABELS[:rows], embeddings)
        for some, other in zip(terms(LABELS[:rows], embeddings), eager, strict=True):
            assert some.numpy() == pytest.approx(np.asarray(other), rel=1e-4, abs=1e-5)
        value = float(loss(LABELS[:rows], embeddings))
        assert float(call(LABELS[:rows], embeddings)) == pytest.approx(value, rel=1e-4, abs=1e-5)


@every_loss
def test_half_precision_is_computed_in_float32(loss, slow):
    embeddings = tf.constant(embeddings_of(1, 9).astype(np.float16))
    wide = loss.terms(LABELS, tf.cast(embeddings, tf.float32))[0]
    sums = loss.terms(LABELS, embeddings)[0]
    assert sums.dtype == tf.float32
    assert np.asarray(sums).tolist() == np.asarray(wide).tolist()


@every_loss
def test_large_class_numbers_stay_apart(loss, slow):
    embeddings = embeddings_of(1, 4)
    small, large = np.array([0, 1, 0, 1]), 2**24 + np.array([0, 1, 0, 1])
    assert float(loss(large, embeddings)) == float(loss(small, embeddings)) > 0


@every_loss
@pytest.mark.parametrize(
    ("labels", "embeddings"),
    [((4, 1), (4, 3)), ((4,), (5, 3)), ((1,), (4, 3)), ((4,), (4, 2, 3)), ((4,), (4,))],
)
def test_shapes_that_do_not_fit_are_refused(loss, slow, labels, embeddings):
    labels, embeddings = np.ones(labels, np.int64), np.ones(embeddings, np.float32)
    for call in (loss, loss.terms):
        with pytest.raises(ValueError, match=rf"^{type(loss).__name__} needs labels of shape"):
            call(labels, embeddings)


@every_loss
def test_it_is_saved_and_loaded_with_its_settings(loss, slow):
    again = keras.losses.deserialize(keras.losses.serialize(loss))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    embeddings = embeddings_of(1, 9)
    assert float(again(LABELS, embeddings)) == float(loss(LABELS, embeddings))
