import math

import keras
import numpy as np
import pytest
import slow_losses
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.trainer.distances import LearnedL1, make_distance

UNWEIGHTED = ("euclidean", "squared_euclidean", "manhattan", "cosine")
ALL = (*UNWEIGHTED, "learned_l1")


def distance_named(name, size):
    """Built; a learned one with weights by hand, the more negative the more a part tells apart."""
    distance = make_distance(name)
    distance.build((None, size), (None, size))
    if name == "learned_l1":
        kernel = -np.arange(1, size + 1, dtype=np.float32)[:, None] / 2
        distance.set_weights([kernel, np.array([1.0], np.float32)])
    return distance


def embeddings_of(seed, rows, size=3):
    return np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # from (1, 0) to itself, to (0.6, 0.8), to (0, 1), to (-1, 0)
        ("euclidean", [0, math.sqrt(0.8), math.sqrt(2), 2]),
        ("squared_euclidean", [0, 0.8, 2, 4]),
        ("manhattan", [0, 1.2, 2, 2]),
        ("cosine", [0, 0.4, 1, 2]),
        # log-odds of the same: 1 - |difference| . (0.5, 1), so 1, 0, -0.5, 0
        ("learned_l1", [1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-0.5)), 0.5]),
    ],
)
def test_hand_made_values(name, expected):
    left = np.array([[1, 0]] * 4, np.float32)
    right = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], np.float32)
    assert np.asarray(distance_named(name, 2)(left, right)) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("name", ALL)
def test_lower_is_more_alike(name):
    left = np.array([[3, 4]] * 4, np.float32)
    # Turned further and further, and of one length, so that each distance sees it.
    right = np.array([[3, 4], [0, 5], [-4, 3], [-3, -4]], np.float32)
    values = np.asarray(distance_named(name, 2)(left, right))
    assert (np.diff(values) > 0).all()


@pytest.mark.parametrize("name", ALL)
def test_a_distance_knows_its_name(name):
    assert make_distance(name).kind == name


def test_a_learned_distance_tells_the_weights_of_its_parts():
    assert distance_named("learned_l1", 3).weights_of_parts == [-0.5, -1, -1.5]


def test_the_logit_of_the_learned_distance_is_higher_for_the_more_alike():
    left = np.zeros((3, 2), np.float32)
    right = np.array([[0, 0], [0, 1], [1, 2]], np.float32)
    # bias 1, weights -0.5 and -1
    assert np.asarray(distance_named("learned_l1", 2).logit(left, right)).tolist() == [1, 0, -1.5]


@pytest.mark.parametrize("name", UNWEIGHTED)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 7), size=st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_it_equals_a_slow_loop(name, seed, rows, size):
    left, right = embeddings_of(seed, rows, size), embeddings_of(seed + 1, rows, size)
    slow = [slow_losses.distance(name, a, b) for a, b in zip(left, right, strict=True)]
    assert np.asarray(make_distance(name)(left, right)) == pytest.approx(slow, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_pairwise_is_the_distance_of_each_row_to_each(name, offset):
    embeddings = embeddings_of(7, 5) + np.float32(offset)
    embeddings[3] = embeddings[1]
    distance = distance_named(name, 3)
    left, right = np.repeat(embeddings, 5, axis=0), np.tile(embeddings, (5, 1))
    rows = np.asarray(distance(left, right)).reshape(5, 5)
    # Of equal rows the square root shows the rounding of the squares, 1e-7 of 1.
    assert np.asarray(distance.pairwise(embeddings)) == pytest.approx(rows, rel=1e-3, abs=5e-4)


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32), scale=st.sampled_from([1e-3, 1.0, 1e3]))
@settings(max_examples=20, deadline=None)
def test_it_stays_in_its_range(name, seed, scale):
    embeddings = embeddings_of(seed, 6) * np.float32(scale)
    embeddings = np.concatenate([embeddings, embeddings * 1.001, -embeddings])
    distance = distance_named(name, 3)
    values = np.asarray(distance(embeddings, np.roll(embeddings, 6, axis=0)))
    pairwise = np.asarray(distance.pairwise(embeddings))
    for some in (values, pairwise):
        assert some.min() >= distance.low
        assert some.max() <= distance.high * (1 + 1e-6)


def test_ranges():
    ranges = {name: (make_distance(name).low, make_distance(name).high) for name in ALL}
    assert ranges == {
        "euclidean": (0, math.inf),
        "squared_euclidean": (0, math.inf),
        "manhattan": (0, math.inf),
        "cosine": (0, 2),
        "learned_l1": (0, 1),
    }


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("pairwise", [False, True])
def test_the_gradient_of_equal_embeddings_is_finite(name, pairwise):
    distance = distance_named(name, 3)
    embeddings = tf.Variable(np.ones((4, 3), np.float32) / 3)
    with tf.GradientTape() as tape:
        values = distance.pairwise(embeddings) if pairwise else distance(embeddings, embeddings)
    gradient = tf.convert_to_tensor(tape.gradient(values, embeddings))
    assert np.isfinite(gradient.numpy()).all()


@pytest.mark.parametrize("name", ALL)
def test_nan_in_gives_nan_out(name):
    embeddings = embeddings_of(1, 3)
    embeddings[1, 2] = np.nan
    distance = distance_named(name, 3)
    values = np.asarray(distance(embeddings, embeddings_of(2, 3)))
    assert np.isnan(values).tolist() == [False, True, False]
    assert np.isnan(np.asarray(distance.pairwise(embeddings))[1]).all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("right", [(4, 1), (1, 3), (4,), (4, 3, 1)])
def test_shapes_that_would_broadcast_are_refused(name, right):
    distance = distance_named(name, 3)
    with pytest.raises(ValueError, match=r"one shape \(m, size\)"):
        distance(np.ones((4, 3), np.float32), np.ones(right, np.float32))


def test_pairwise_refuses_embeddings_of_three_axes():
    with pytest.raises(ValueError, match=r"\(n, size\), got \(2, 3, 4\)"):
        make_distance("manhattan").pairwise(np.ones((2, 3, 4), np.float32))


@pytest.mark.parametrize("name", ALL)
def test_the_number_of_pairs_may_be_unknown(name):
    distance = distance_named(name, 3)
    spec = tf.TensorSpec([None, 3], tf.float32)
    graph = tf.function(lambda a, b: (distance(a, b), distance.pairwise(a)), [spec, spec])
    for rows in (1, 4):
        left, right = embeddings_of(1, rows), embeddings_of(2, rows)
        values, pairwise = graph(left, right)
        assert values.numpy() == pytest.approx(np.asarray(distance(left, right)), abs=1e-5)
        assert pairwise.numpy() == pytest.approx(np.asarray(distance.pairwise(left)), abs=1e-3)


@pytest.fixture
def mixed_float16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", ALL)
def test_it_is_computed_in_float32_under_mixed_precision(name, mixed_float16):
    distance = distance_named(name, 3)
    left, right = (embeddings_of(seed, 4).astype(np.float16) for seed in (1, 2))
    wide = distance(left.astype(np.float32), right.astype(np.float32))
    values = distance(tf.constant(left), tf.constant(right))
    assert values.dtype == distance.pairwise(tf.constant(left)).dtype == "float32"
    assert np.asarray(values).tolist() == np.asarray(wide).tolist()


@pytest.mark.parametrize("name", ALL)
def test_it_is_saved_and_loaded_in_a_model(name, tmp_path):
    distance = distance_named(name, 3)
    inputs = [keras.Input([3]), keras.Input([3])]
    keras.Model(inputs, distance(*inputs)).save(tmp_path / "model.keras")
    left, right = embeddings_of(1, 4), embeddings_of(2, 4)
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert np.asarray(again([left, right])).tolist() == np.asarray(distance(left, right)).tolist()


def test_the_learned_distance_learns_which_part_tells_apart():
    keras.utils.set_random_seed(5)
    generator = np.random.default_rng(4)
    left, right = generator.normal(size=(2, 256, 3)).astype(np.float32)
    same = (np.abs(left[:, 1] - right[:, 1]) < 1).astype(np.float32)  # the others are noise
    distance = LearnedL1()
    distance.build((None, 3), (None, 3))
    optimizer = keras.optimizers.Adam(0.1)
    for _ in range(100):
        with tf.GradientTape() as tape:
            logits = distance.logit(left, right)
            loss = tf.reduce_mean(
                tf.nn.sigmoid_cross_entropy_with_logits(labels=same, logits=logits)
            )
        optimizer.apply(tape.gradient(loss, distance.trainable_weights), distance.trainable_weights)
    assert np.mean((np.asarray(distance(left, right)) < 0.5) == (same == 1)) > 0.95
