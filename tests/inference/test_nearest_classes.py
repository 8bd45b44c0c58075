import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.inference.nearest_classes import NearestClasses

DISTANCES = ("euclidean", "squared_euclidean", "manhattan", "cosine", "learned_l1")


def measure_of(name):
    """The real distance, as it is inside a model."""
    from keras import ops

    from diptych.components.trainer.distances import make_distance

    layer = make_distance(name)
    layer.build((None, 3), (None, 3))
    if name == "learned_l1":
        layer.set_weights([np.array([[-1.0], [-0.5], [0.25]]), np.array([0.5])])
    return lambda left, right: np.asarray(layer(ops.array(left), ops.array(right)))


def distances_of(measure, queries, embeddings):
    """(q, n): of each query to each example."""
    left = np.repeat(queries, len(embeddings), axis=0)
    right = np.tile(embeddings, (len(queries), 1))
    even = -len(left) % 16  # the last rows of an odd number are rounded in another way
    pad = ((0, even), (0, 0))
    distances = measure(np.pad(left, pad), np.pad(right, pad))[: len(left)]
    return distances.reshape(len(queries), len(embeddings))


def slowly(distances, classes, k):
    """(distance, class, row) of the k nearest classes, by a look at every example."""
    best = {}
    for row, (distance, kind) in enumerate(zip(distances.tolist(), classes.tolist(), strict=True)):
        best[kind] = min(best.get(kind, (np.inf, kind, row)), (distance, kind, row))
    return sorted(best.values())[:k]


def found(nearest, classes, number):
    pairs = zip(nearest.distances[number].tolist(), nearest.rows[number].tolist(), strict=True)
    return [(distance, int(classes[row]), row) for distance, row in pairs if row >= 0]


@pytest.mark.parametrize("distance", DISTANCES)
@given(
    total=st.integers(1, 300),
    kinds=st.integers(1, 20),
    queries=st.sampled_from([0, 1, 2, 25]),
    k=st.integers(1, 12),
    steps=st.sampled_from([2, 1_000_000]),  # few steps make ties
    seed=st.integers(0, 2**32),
)
@settings(max_examples=20, deadline=None)
def test_nearest_classes_are_those_of_a_look_at_every_example(
    distance, total, kinds, queries, k, steps, seed
):
    generator = np.random.default_rng(seed)
    embeddings = (generator.integers(-steps, steps + 1, (total, 3)) / steps).astype(np.float32)
    classes = generator.integers(0, kinds, total)
    asked = (generator.integers(-steps, steps + 1, (queries, 3)) / steps).astype(np.float32)
    measure = measure_of(distance)
    nearest = NearestClasses(embeddings, classes, distance, measure).search(asked, k)
    for number, distances in enumerate(distances_of(measure, asked, embeddings)):
        assert found(nearest, classes, number) == slowly(distances, classes, k)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_class_with_many_near_examples_does_not_crowd_out_the_others(distance):
    generator = np.random.default_rng(0)
    near = generator.normal((1, 0, 0), 0.01, (10_000, 3))
    far = generator.normal((-20, 5, 5), 1, (50, 3))
    embeddings = np.concatenate([near, far]).astype(np.float32)
    classes = np.concatenate([np.zeros(10_000, int), 1 + np.arange(50) // 10])
    query = np.array([[1, 0, 0]], np.float32)
    measure = measure_of(distance)
    nearest = NearestClasses(embeddings, classes, distance, measure).search(query, 4)
    (distances,) = distances_of(measure, query, embeddings)
    assert found(nearest, classes, 0) == slowly(distances, classes, 4)
    assert len(found(nearest, classes, 0)) == 4


@pytest.mark.parametrize("distance", DISTANCES)
def test_an_answer_does_not_depend_on_what_else_is_asked(distance):
    generator = np.random.default_rng(0)
    # Far from the origin, where |a|^2 + |b|^2 - 2ab, as matrix products give it, loses digits.
    embeddings = (100 + generator.normal(0, 0.01, (2_000, 3))).astype(np.float32)
    classes = np.arange(2_000)
    asked = embeddings[:64] + np.float32(0.001)
    index = NearestClasses(embeddings, classes, distance, measure_of(distance))
    together, alone = index.search(asked, 5), [index.search(one[None], 5) for one in asked]
    np.testing.assert_array_equal(together.rows, np.concatenate([one.rows for one in alone]))


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean", "cosine"])
def test_what_faiss_rounds_away_changes_nothing(distance, monkeypatch):
    generator = np.random.default_rng(0)
    embeddings = (1 + generator.normal(0, 0.01, (2_000, 3))).astype(np.float32)
    asked = embeddings[:8] + np.float32(0.001)
    index = NearestClasses(embeddings, np.arange(2_000), distance, measure_of(distance))
    expected = index.search(asked, 5)
    exact_knn = faiss.knn

    def rough_knn(queries, points, count, metric):
        near, rows = exact_knn(queries, points, len(points), metric=metric)
        noise = np.random.default_rng(1).uniform(-1e-6, 1e-6, near.shape)  # some ulps of 10
        near = (near + noise).astype(np.float32)
        order = np.argsort(near, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(near, order, 1), np.take_along_axis(rows, order, 1)

    monkeypatch.setattr(faiss, "knn", rough_knn)
    rough = index.search(asked, 5)
    np.testing.assert_array_equal(rough.rows, expected.rows)
    np.testing.assert_array_equal(rough.distances, expected.distances)


def test_the_cosine_of_an_embedding_without_length_is_the_models():
    embeddings = np.array([[0, 0, 0], [-1, 0, 0], [2, 1, 0]], np.float32)
    index = NearestClasses(embeddings, np.arange(3), "cosine", measure_of("cosine"))
    nearest = index.search(np.array([[3, 0, 0]], np.float32), 3)
    assert nearest.rows.tolist() == [[2, 0, 1]]
    np.testing.assert_allclose(nearest.distances, [[1 - 2 / 5**0.5, 0.5, 2.0]], atol=1e-6)


def test_an_empty_gallery_has_no_nearest_class():
    empty = np.empty((0, 3), np.float32)
    index = NearestClasses(empty, np.empty(0, int), "euclidean", measure_of("euclidean"))
    nearest = index.search(np.ones((2, 3), np.float32), 2)
    assert nearest.rows.tolist() == [[-1, -1]] * 2
    assert np.isinf(nearest.distances).all()
