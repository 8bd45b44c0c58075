import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.inference.nearest_classes import NearestClasses

DISTANCES = ("euclidean", "squared_euclidean", "manhattan", "cosine", "learned_l1")


def distance_function(name):
    """The distance of a model."""
    from keras import ops

    from diptych.components.trainer.distances import make_distance

    layer = make_distance(name)
    layer.build((None, 3), (None, 3))
    if name == "learned_l1":
        layer.set_weights([np.array([[-1.0], [-0.5], [0.25]]), np.array([0.5])])
    return lambda left, right: np.asarray(layer(ops.array(left), ops.array(right)))


def pairwise_distances(distance_fn, queries, embeddings):
    """(q, n) distances of each query to each example."""
    left = np.repeat(queries, len(embeddings), axis=0)
    right = np.tile(embeddings, (len(queries), 1))
    padding = -len(left) % 16  # rows that do not fill a register are rounded differently
    pad = ((0, padding), (0, 0))
    distances = distance_fn(np.pad(left, pad), np.pad(right, pad))[: len(left)]
    return distances.reshape(len(queries), len(embeddings))


def brute_force(distances, classes, k):
    """(distance, class, row) of the k nearest classes, found by a loop over all examples."""
    best = {}
    for row, (distance, class_index) in enumerate(
        zip(distances.tolist(), classes.tolist(), strict=True)
    ):
        best[class_index] = min(
            best.get(class_index, (np.inf, class_index, row)), (distance, class_index, row)
        )
    return sorted(best.values())[:k]


def neighbors_of(nearest, classes, number):
    pairs = zip(nearest.distances[number].tolist(), nearest.rows[number].tolist(), strict=True)
    return [(distance, int(classes[row]), row) for distance, row in pairs if row >= 0]


@pytest.mark.parametrize("distance", DISTANCES)
@given(
    total=st.integers(1, 300),
    num_classes=st.integers(1, 20),
    num_queries=st.sampled_from([0, 1, 2, 25]),
    k=st.integers(1, 12),
    steps=st.sampled_from([2, 1_000_000]),  # few steps produce ties
    seed=st.integers(0, 2**32),
)
@settings(max_examples=20, deadline=None)
def test_nearest_classes_equal_those_of_a_brute_force_search(
    distance, total, num_classes, num_queries, k, steps, seed
):
    generator = np.random.default_rng(seed)
    embeddings = (generator.integers(-steps, steps + 1, (total, 3)) / steps).astype(np.float32)
    classes = generator.integers(0, num_classes, total)
    queries = (generator.integers(-steps, steps + 1, (num_queries, 3)) / steps).astype(np.float32)
    distance_fn = distance_function(distance)
    nearest = NearestClasses(embeddings, classes, distance, distance_fn).search(queries, k)
    for number, distances in enumerate(pairwise_distances(distance_fn, queries, embeddings)):
        assert neighbors_of(nearest, classes, number) == brute_force(distances, classes, k)


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_class_with_many_near_examples_does_not_hide_the_others(distance):
    generator = np.random.default_rng(0)
    near = generator.normal((1, 0, 0), 0.01, (10_000, 3))
    far = generator.normal((-20, 5, 5), 1, (50, 3))
    embeddings = np.concatenate([near, far]).astype(np.float32)
    classes = np.concatenate([np.zeros(10_000, int), 1 + np.arange(50) // 10])
    query = np.array([[1, 0, 0]], np.float32)
    distance_fn = distance_function(distance)
    nearest = NearestClasses(embeddings, classes, distance, distance_fn).search(query, 4)
    (distances,) = pairwise_distances(distance_fn, query, embeddings)
    assert neighbors_of(nearest, classes, 0) == brute_force(distances, classes, 4)
    assert len(neighbors_of(nearest, classes, 0)) == 4


@pytest.mark.parametrize("distance", DISTANCES)
def test_a_result_does_not_depend_on_the_other_queries(distance):
    generator = np.random.default_rng(0)
    # Far from the origin, where |a|^2 + |b|^2 - 2ab, as computed by matrix products, loses digits.
    embeddings = (100 + generator.normal(0, 0.01, (2_000, 3))).astype(np.float32)
    classes = np.arange(2_000)
    queries = embeddings[:64] + np.float32(0.001)
    index = NearestClasses(embeddings, classes, distance, distance_function(distance))
    together, alone = index.search(queries, 5), [index.search(query[None], 5) for query in queries]
    np.testing.assert_array_equal(together.rows, np.concatenate([single.rows for single in alone]))


@pytest.mark.parametrize("distance", ["euclidean", "squared_euclidean", "cosine"])
def test_rounding_in_faiss_does_not_change_the_result(distance, monkeypatch):
    generator = np.random.default_rng(0)
    embeddings = (1 + generator.normal(0, 0.01, (2_000, 3))).astype(np.float32)
    queries = embeddings[:8] + np.float32(0.001)
    index = NearestClasses(embeddings, np.arange(2_000), distance, distance_function(distance))
    expected = index.search(queries, 5)
    exact_knn = faiss.knn

    def rough_knn(queries, points, count, metric):
        near, rows = exact_knn(queries, points, len(points), metric=metric)
        noise = np.random.default_rng(1).uniform(-1e-6, 1e-6, near.shape)  # some ulps of 10
        near = (near + noise).astype(np.float32)
        order = np.argsort(near, axis=1, kind="stable")[:, :count]
        return np.take_along_axis(near, order, 1), np.take_along_axis(rows, order, 1)

    monkeypatch.setattr(faiss, "knn", rough_knn)
    rough = index.search(queries, 5)
    np.testing.assert_array_equal(rough.rows, expected.rows)
    np.testing.assert_array_equal(rough.distances, expected.distances)


def test_the_cosine_distance_of_a_zero_embedding_is_that_of_the_model():
    embeddings = np.array([[0, 0, 0], [-1, 0, 0], [2, 1, 0]], np.float32)
    index = NearestClasses(embeddings, np.arange(3), "cosine", distance_function("cosine"))
    nearest = index.search(np.array([[3, 0, 0]], np.float32), 3)
    assert nearest.rows.tolist() == [[2, 0, 1]]
    np.testing.assert_allclose(nearest.distances, [[1 - 2 / 5**0.5, 0.5, 2.0]], atol=1e-6)


def test_an_empty_gallery_has_no_nearest_class():
    empty = np.empty((0, 3), np.float32)
    index = NearestClasses(empty, np.empty(0, int), "euclidean", distance_function("euclidean"))
    nearest = index.search(np.ones((2, 3), np.float32), 2)
    assert nearest.rows.tolist() == [[-1, -1]] * 2
    assert np.isinf(nearest.distances).all()
