import math

import keras
import numpy as np
import pytest
import slow_losses
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.trainer.distances import LearnedL1Distance, make_distance

UNWEIGHTED = ("euclidean", "squared_euclidean", "manhattan", "cosine")
ALL = (*UNWEIGHTED, "learned_l1")


def build_distance(name, size):
    """Build a distance; the learned one has weights of -1/2, -1, -3/2 ... and a bias of 1."""
    distance = make_distance(name)
    distance.build((None, size), (None, size))
    if name == "learned_l1":
        kernel = -np.arange(1, size + 1, dtype=np.float32)[:, None] / 2
        distance.set_weights([kernel, np.array([1.0], np.float32)])
    return distance


def random_embeddings(seed, rows, size=3):
    return np.random.default_rng(seed).normal(size=(rows, size)).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        # from (1, 0) to itself, to (0.6, 0.8), to (0, 1), to (-1, 0)
        ("euclidean", [0, math.sqrt(0.8), math.sqrt(2), 2]),
        ("squared_euclidean", [0, 0.8, 2, 4]),
        ("manhattan", [0, 1.2, 2, 2]),
        ("cosine", [0, 0.4, 1, 2]),
        # log-odds of same: 1 - |difference| . (0.5, 1), so 1, 0, -0.5, 0
        ("learned_l1", [1 / (1 + math.e), 0.5, 1 / (1 + math.exp(-0.5)), 0.5]),
    ],
)
def test_distances_equal_hand_computed_values(name, expected):
    left = np.array([[1, 0]] * 4, np.float32)
    right = np.array([[1, 0], [0.6, 0.8], [0, 1], [-1, 0]], np.float32)
    assert np.asarray(build_distance(name, 2)(left, right)) == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("name", ALL)
def test_lower_means_more_similar(name):
    left = np.array([[3, 4]] * 4, np.float32)
    # Rotated further and further at the same length, so that every distance increases.
    right = np.array([[3, 4], [0, 5], [-4, 3], [-3, -4]], np.float32)
    values = np.asarray(build_distance(name, 2)(left, right))
    assert (np.diff(values) > 0).all()


@pytest.mark.parametrize("name", ALL)
def test_a_distance_has_its_configured_name(name):
    assert make_distance(name).distance_name == name


def test_a_learned_distance_returns_its_dimension_weights():
    assert build_distance("learned_l1", 3).dimension_weights == [-0.5, -1, -1.5]


def test_a_higher_logit_of_the_learned_distance_means_more_similar():
    left = np.zeros((3, 2), np.float32)
    right = np.array([[0, 0], [0, 1], [1, 2]], np.float32)
    # bias 1, weights -0.5 and -1
    assert np.asarray(build_distance("learned_l1", 2).logit(left, right)).tolist() == [1, 0, -1.5]


@pytest.mark.parametrize("name", UNWEIGHTED)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 7), size=st.integers(1, 5))
@settings(max_examples=20, deadline=None)
def test_distances_equal_a_slow_loop(name, seed, rows, size):
    left, right = random_embeddings(seed, rows, size), random_embeddings(seed + 1, rows, size)
    slow = [slow_losses.distance(name, a, b) for a, b in zip(left, right, strict=True)]
    assert np.asarray(make_distance(name)(left, right)) == pytest.approx(slow, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("offset", [0.0, 100.0])
def test_pairwise_returns_the_distances_between_all_rows(name, offset):
    embeddings = random_embeddings(7, 5) + np.float32(offset)
    embeddings[3] = embeddings[1]
    distance = build_distance(name, 3)
    left, right = np.repeat(embeddings, 5, axis=0), np.tile(embeddings, (5, 1))
    rows = np.asarray(distance(left, right)).reshape(5, 5)
    # For equal rows, the square root amplifies the rounding error of the squares, 1e-7 of 1.
    assert np.asarray(distance.pairwise(embeddings)) == pytest.approx(rows, rel=1e-3, abs=5e-4)


@pytest.mark.parametrize("name", ALL)
@given(seed=st.integers(0, 2**32), scale=st.sampled_from([1e-3, 1.0, 1e3]))
@settings(max_examples=20, deadline=None)
def test_distances_stay_within_their_bounds(name, seed, scale):
    embeddings = random_embeddings(seed, 6) * np.float32(scale)
    embeddings = np.concatenate([embeddings, embeddings * 1.001, -embeddings])
    distance = build_distance(name, 3)
    values = np.asarray(distance(embeddings, np.roll(embeddings, 6, axis=0)))
    pairwise = np.asarray(distance.pairwise(embeddings))
    for distances in (values, pairwise):
        assert distances.min() >= distance.lower_bound
        assert distances.max() <= distance.upper_bound * (1 + 1e-6)


def test_bounds():
    distances = {name: make_distance(name) for name in ALL}
    assert {name: (d.lower_bound, d.upper_bound) for name, d in distances.items()} == {
        "euclidean": (0, math.inf),
        "squared_euclidean": (0, math.inf),
        "manhattan": (0, math.inf),
        "cosine": (0, 2),
        "learned_l1": (0, 1),
    }


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("pairwise", [False, True])
def test_the_gradient_of_equal_embeddings_is_finite(name, pairwise):
    distance = build_distance(name, 3)
    embeddings = tf.Variable(np.ones((4, 3), np.float32) / 3)
    with tf.GradientTape() as tape:
        values = distance.pairwise(embeddings) if pairwise else distance(embeddings, embeddings)
    gradient = tf.convert_to_tensor(tape.gradient(values, embeddings))
    assert np.isfinite(gradient.numpy()).all()


@pytest.mark.parametrize("name", ALL)
def test_nan_in_gives_nan_out(name):
    embeddings = random_embeddings(1, 3)
    embeddings[1, 2] = np.nan
    distance = build_distance(name, 3)
    values = np.asarray(distance(embeddings, random_embeddings(2, 3)))
    assert np.isnan(values).tolist() == [False, True, False]
    assert np.isnan(np.asarray(distance.pairwise(embeddings))[1]).all()


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("right", [(4, 1), (1, 3), (4,), (4, 3, 1)])
def test_shapes_that_would_broadcast_raise(name, right):
    distance = build_distance(name, 3)
    with pytest.raises(ValueError, match=r"same shape \(m, size\)"):
        distance(np.ones((4, 3), np.float32), np.ones(right, np.float32))


def test_pairwise_raises_for_embeddings_with_three_axes():
    with pytest.raises(ValueError, match=r"\(n, size\), got \(2, 3, 4\)"):
        make_distance("manhattan").pairwise(np.ones((2, 3, 4), np.float32))


@pytest.mark.parametrize("name", ALL)
def test_graphs_accept_any_number_of_pairs(name):
    distance = build_distance(name, 3)
    spec = tf.TensorSpec([None, 3], tf.float32)
    graph = tf.function(lambda a, b: (distance(a, b), distance.pairwise(a)), [spec, spec])
    for rows in (1, 4):
        left, right = random_embeddings(1, rows), random_embeddings(2, rows)
        values, pairwise = graph(left, right)
        assert values.numpy() == pytest.approx(np.asarray(distance(left, right)), abs=1e-5)
        assert pairwise.numpy() == pytest.approx(np.asarray(distance.pairwise(left)), abs=1e-3)


@pytest.fixture
def mixed_float16():
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(previous)


@pytest.mark.parametrize("name", ALL)
def test_distances_are_computed_in_float32_under_mixed_precision(name, mixed_float16):
    distance = build_distance(name, 3)
    left, right = (random_embeddings(seed, 4).astype(np.float16) for seed in (1, 2))
    expected = distance(left.astype(np.float32), right.astype(np.float32))
    values = distance(tf.constant(left), tf.constant(right))
    assert values.dtype == distance.pairwise(tf.constant(left)).dtype == "float32"
    assert np.asarray(values).tolist() == np.asarray(expected).tolist()


@pytest.mark.parametrize("name", ALL)
def test_a_saved_model_contains_the_distance(name, tmp_path):
    distance = build_distance(name, 3)
    inputs = [keras.Input([3]), keras.Input([3])]
    keras.Model(inputs, distance(*inputs)).save(tmp_path / "model.keras")
    left, right = random_embeddings(1, 4), random_embeddings(2, 4)
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert np.asarray(loaded([left, right])).tolist() == np.asarray(distance(left, right)).tolist()


def test_the_learned_distance_learns_the_relevant_dimension():
    keras.utils.set_random_seed(5)
    generator = np.random.default_rng(4)
    left, right = generator.normal(size=(2, 256, 3)).astype(np.float32)
    same = (np.abs(left[:, 1] - right[:, 1]) < 1).astype(
        np.float32
    )  # the other dimensions are noise
    distance = LearnedL1Distance()
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
