import math

import numpy as np
import pytest
import slow_figures
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.evaluator.retrieval import retrieve

WEIGHTS = np.array([-1.0, -2.0, 0.5], np.float32)  # the last part speaks for the same


def cosine(a, b):
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return 1.0 if length == 0 else 1 - a @ b / length


SLOW = {
    "euclidean": lambda a, b: np.linalg.norm(a - b),
    "squared_euclidean": lambda a, b: ((a - b) ** 2).sum(),
    "manhattan": lambda a, b: np.abs(a - b).sum(),
    "cosine": cosine,
    "learned_l1": lambda a, b: 1 / (1 + math.exp(WEIGHTS @ np.abs(a - b) + 1)),
}


def weights_of(kind):
    return WEIGHTS if kind == "learned_l1" else None


# On a line: a at 0, 1 and 9, b at 2 and 4, c at 20.
LINE = np.array([[0], [1], [9], [2], [4], [20]], np.float32)
CLASSES = np.array([7, 7, 7, 3, 3, 5])


def test_hand_made_values():
    found = retrieve(LINE, CLASSES, "euclidean")
    assert found.query.tolist() == [0, 1, 2, 3, 4]  # c is alone
    assert (found.gallery, found.classes) == (6, 3)
    # 0: a at 1, b, b, a at 9. 1: a at 0 and b at 2 equally far, so b, then a. 9: b, b, a at 1, a.
    # 2: a at 1, then a at 0 and b at 4, so b second. 4: b at 2.
    assert found.at_1.tolist() == [1, 0, 0, 0, 1]
    assert found.at_5.tolist() == [1, 1, 1, 1, 1]
    assert found.map_at_r.tolist() == [1 / 2, 1 / 4, 0, 0, 1]


def test_an_interval_lies_around_each_mean():
    figures = retrieve(LINE, CLASSES, "euclidean").figures(resamples=200, seed=0)
    assert (figures.queries, figures.gallery, figures.classes) == (5, 6, 3)
    assert figures.recall_at_1.value == 0.4
    assert 0 <= figures.recall_at_1.low < 0.4 < figures.recall_at_1.high <= 1
    assert figures.map_at_r.value == pytest.approx(0.35)
    assert figures.recall_at_5.model_dump() == {"value": 1, "low": 1, "high": 1}


@settings(max_examples=40, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 9), min_size=2, max_size=8),
    kind=st.sampled_from(sorted(SLOW)),
    seed=st.integers(0, 2**32),
)
def test_each_query_finds_what_a_loop_finds(sizes, kind, seed):
    generator = np.random.default_rng(seed)
    classes = generator.permutation(np.repeat(np.arange(len(sizes)) * 5, sizes))
    embeddings = (generator.normal(size=(len(classes), 3)) + 2).astype(np.float32)
    found = retrieve(embeddings, classes, kind, weights_of(kind))
    slow = slow_figures.retrieval(embeddings.astype(float), classes, SLOW[kind])
    if not slow:
        assert found is None
        return
    assert found.query.tolist() == list(slow)
    values = np.stack([found.at_1, found.at_5, found.map_at_r], axis=1)
    assert values == pytest.approx(np.array(list(slow.values())))


def test_many_blocks_find_what_a_loop_finds(monkeypatch):
    monkeypatch.setattr("diptych.components.evaluator.retrieval._DISTANCES_AT_ONCE", 2000)
    generator = np.random.default_rng(3)
    classes = generator.integers(0, 40, 300)
    embeddings = generator.normal(size=(300, 3)).astype(np.float32)
    found = retrieve(embeddings, classes, "euclidean")
    slow = slow_figures.retrieval(embeddings.astype(float), classes, SLOW["euclidean"])
    assert found.map_at_r == pytest.approx([slow[query][2] for query in found.query.tolist()])


@pytest.mark.parametrize("kind", sorted(SLOW))
def test_alike_embeddings_of_a_class_are_found_and_turned_round_they_are_not(kind):
    # Two classes, two directions; the learned distance sees the first part only through its weight.
    alike = np.array([[1, 0, 0], [1, 0.1, 0], [0, 1, 0], [0.1, 1, 0]], np.float32)
    by_place, across = np.array([0, 0, 1, 1]), np.array([0, 1, 0, 1])
    right = retrieve(alike, by_place, kind, weights_of(kind))
    wrong = retrieve(alike, across, kind, weights_of(kind))
    assert right.at_1.tolist() == right.map_at_r.tolist() == [1, 1, 1, 1]
    assert wrong.at_1.tolist() == wrong.map_at_r.tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize("kind", sorted(SLOW))
def test_a_collapsed_model_finds_nothing(kind):
    same = np.full((60, 3), 1 / 3, np.float32)
    found = retrieve(same, np.arange(60) % 2, kind, weights_of(kind))
    assert found.at_1.sum() == found.at_5.sum() == found.map_at_r.sum() == 0


def test_an_example_is_left_out_of_its_own_search_and_its_duplicate_is_not():
    twice = np.array([[5, 5], [5, 5], [9, 0], [5, 6]], np.float32)
    found = retrieve(twice, np.array([0, 0, 1, 1]), "euclidean")
    assert found.at_1.tolist() == [1, 1, 0, 0]


def test_near_duplicates_far_from_the_origin_are_told_apart():
    step = np.float32(2**-10)
    line = np.array([[0], [2], [5], [6]], np.float32) * step + 1000
    found = retrieve(line, np.array([0, 0, 1, 1]), "squared_euclidean")
    assert found.at_1.tolist() == [1, 1, 1, 1]


def test_the_order_of_the_examples_does_not_matter():
    generator = np.random.default_rng(5)
    classes = generator.integers(0, 30, 200)
    embeddings = generator.integers(0, 4, (200, 3)).astype(np.float32)  # many at one distance
    found = retrieve(embeddings, classes, "euclidean")
    order = generator.permutation(200)
    shuffled = retrieve(embeddings[order], classes[order], "euclidean")
    of = dict(zip(order[shuffled.query].tolist(), shuffled.map_at_r.tolist(), strict=True))
    assert [of[query] for query in found.query.tolist()] == found.map_at_r.tolist()


@pytest.mark.parametrize("classes", [[0, 1, 2], [4, 4, 4]])
def test_without_a_query_or_with_one_class_there_is_nothing_to_find(classes):
    assert retrieve(np.eye(3, dtype=np.float32), np.array(classes), "euclidean") is None
