import math

import numpy as np
import pytest
import slow_metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.evaluator.retrieval import evaluate_retrieval

# The positive last weight makes examples that differ in the last dimension more similar.
WEIGHTS = np.array([-1.0, -2.0, 0.5], np.float32)


def cosine_distance(a, b):
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return 1.0 if length == 0 else 1 - a @ b / length


SLOW_DISTANCES = {
    "euclidean": lambda a, b: np.linalg.norm(a - b),
    "squared_euclidean": lambda a, b: ((a - b) ** 2).sum(),
    "manhattan": lambda a, b: np.abs(a - b).sum(),
    "cosine": cosine_distance,
    "learned_l1": lambda a, b: 1 / (1 + math.exp(WEIGHTS @ np.abs(a - b) + 1)),
}


def weights_for(distance_name):
    return WEIGHTS if distance_name == "learned_l1" else None


# In one dimension: class a (7) at 0, 1 and 9, b (3) at 2 and 4, c (5) at 20.
EMBEDDINGS = np.array([[0], [1], [9], [2], [4], [20]], np.float32)
CLASSES = np.array([7, 7, 7, 3, 3, 5])


def test_metrics_by_hand():
    results = evaluate_retrieval(EMBEDDINGS, CLASSES, "euclidean")
    assert results.query.tolist() == [0, 1, 2, 3, 4]  # c has one example
    assert (results.gallery_size, results.num_classes) == (6, 3)
    # Query 0 ranks a at 1, b, b, a at 9. Query 1 ranks b at 2 before a at 0, because of the tie.
    # Query 9 ranks b, b, a at 1, a at 0. Query 2 ranks a at 1, then a at 0 before b at 4, because
    # of the tie. Query 4 ranks b at 2 first.
    assert results.recall_at_1.tolist() == [1, 0, 0, 0, 1]
    assert results.recall_at_5.tolist() == [1, 1, 1, 1, 1]
    assert results.map_at_r.tolist() == [1 / 2, 1 / 4, 0, 0, 1]


def test_intervals_include_the_mean():
    metrics = evaluate_retrieval(EMBEDDINGS, CLASSES, "euclidean").summarize(resamples=200, seed=0)
    assert (metrics.queries, metrics.gallery, metrics.classes) == (5, 6, 3)
    assert metrics.recall_at_1.value == 0.4
    assert 0 <= metrics.recall_at_1.low < 0.4 < metrics.recall_at_1.high <= 1
    assert metrics.map_at_r.value == pytest.approx(0.35)
    assert metrics.recall_at_5.model_dump() == {"value": 1, "low": 1, "high": 1}


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=8),
    distance_name=st.sampled_from(sorted(SLOW_DISTANCES)),
    seed=st.integers(0, 2**32),
)
def test_results_equal_those_of_a_slow_loop(sizes, distance_name, seed):
    generator = np.random.default_rng(seed)
    classes = generator.permutation(np.repeat(np.arange(len(sizes)) * 5, sizes))
    embeddings = (generator.normal(size=(len(classes), 3)) + 2).astype(np.float32)
    results = evaluate_retrieval(embeddings, classes, distance_name, weights_for(distance_name))
    expected = slow_metrics.retrieval_metrics(
        embeddings.astype(float), classes, SLOW_DISTANCES[distance_name]
    )
    if not expected:
        assert results is None
        return
    assert results.query.tolist() == list(expected)
    values = np.stack([results.recall_at_1, results.recall_at_5, results.map_at_r], axis=1)
    assert values == pytest.approx(np.array(list(expected.values())))


def test_results_of_several_blocks_equal_those_of_a_slow_loop(monkeypatch):
    monkeypatch.setattr("diptych.components.evaluator.retrieval._DISTANCES_PER_BLOCK", 2000)
    generator = np.random.default_rng(3)
    classes = generator.integers(0, 40, 300)
    embeddings = generator.normal(size=(300, 3)).astype(np.float32)
    results = evaluate_retrieval(embeddings, classes, "euclidean")
    expected = slow_metrics.retrieval_metrics(
        embeddings.astype(float), classes, SLOW_DISTANCES["euclidean"]
    )
    map_at_r = [expected[query][2] for query in results.query.tolist()]
    assert results.map_at_r == pytest.approx(map_at_r)


@pytest.mark.parametrize("distance_name", sorted(SLOW_DISTANCES))
def test_clusters_are_retrieved_only_if_they_match_the_classes(distance_name):
    # Two clusters in two directions. The third dimension, with the positive weight, is constant.
    clusters = np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0.1, 1, 0]], np.float32)
    matching, crossed = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    weights = weights_for(distance_name)
    perfect = evaluate_retrieval(clusters, matching, distance_name, weights)
    failed = evaluate_retrieval(clusters, crossed, distance_name, weights)
    assert perfect.recall_at_1.tolist() == perfect.map_at_r.tolist() == [1, 1, 1, 1]
    assert failed.recall_at_1.tolist() == failed.map_at_r.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("distance_name", sorted(SLOW_DISTANCES))
def test_a_collapsed_model_retrieves_nothing(distance_name):
    equal = np.full((60, 3), 1 / 3, np.float32)
    results = evaluate_retrieval(
        equal, np.arange(60) % 2, distance_name, weights_for(distance_name)
    )
    assert results.recall_at_1.sum() == results.recall_at_5.sum() == results.map_at_r.sum() == 0


def test_a_query_does_not_retrieve_itself_but_its_duplicate():
    with_duplicate = np.array([[5, 5], [5, 5], [9, 0], [5, 6]], np.float32)
    results = evaluate_retrieval(with_duplicate, np.array([0, 0, 1, 1]), "euclidean")
    assert results.recall_at_1.tolist() == [1, 1, 0, 0]


def test_near_duplicates_far_from_the_origin_are_distinguished():
    step = np.float32(2**-10)
    embeddings = np.array([[0], [2], [5], [6]], np.float32) * step + 1000
    results = evaluate_retrieval(embeddings, np.array([0, 0, 1, 1]), "squared_euclidean")
    assert results.recall_at_1.tolist() == [1, 1, 1, 1]


def test_results_do_not_depend_on_the_order_of_the_examples():
    generator = np.random.default_rng(5)
    classes = generator.integers(0, 30, 200)
    embeddings = generator.integers(0, 4, (200, 3)).astype(np.float32)  # many ties
    results = evaluate_retrieval(embeddings, classes, "euclidean")
    order = generator.permutation(200)
    shuffled = evaluate_retrieval(embeddings[order], classes[order], "euclidean")
    map_at_r = dict(zip(order[shuffled.query].tolist(), shuffled.map_at_r.tolist(), strict=True))
    assert [map_at_r[query] for query in results.query.tolist()] == results.map_at_r.tolist()


@pytest.mark.parametrize("classes", [[0, 1, 2], [4, 4, 4]])
def test_without_queries_or_with_one_class_there_are_no_results(classes):
    embeddings = np.eye(3, dtype=np.float32)
    assert evaluate_retrieval(embeddings, np.array(classes), "euclidean") is None
