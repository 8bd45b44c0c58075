import numpy as np
import pytest
import slow_metrics
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.evaluator import few_shot as module
from diptych.components.evaluator.few_shot import evaluate_few_shot, sample_subsets
from diptych.components.trainer.distances import make_distance
from diptych.schemas.config.evaluate import FewShotConfig

DISTANCES = ("euclidean", "squared_euclidean", "manhattan", "cosine", "learned_l1")


def euclidean(left, right):
    return np.linalg.norm(left - right, axis=-1).astype(np.float32)


def few_shot_accuracy(embeddings, classes, distance=euclidean, **options):
    config = FewShotConfig(**{"ways": (2,), "shots": (1,), "episodes": 200} | options)
    embeddings = np.asarray(embeddings, np.float32)
    ((metrics,), notes) = evaluate_few_shot(
        embeddings, np.array(classes), distance, config, resamples=100, seed=0
    )
    assert notes == ()
    return metrics.accuracy


def test_separated_classes_have_an_accuracy_and_interval_of_one():
    separated = np.repeat(np.arange(6), 3)[:, None] * 10.0
    accuracy = few_shot_accuracy(separated, np.repeat(np.arange(6), 3), ways=(5,), shots=(2,))
    assert accuracy.model_dump() == {"value": 1, "low": 1, "high": 1}


def test_accuracy_by_hand():
    # Class 0 at 0 and 3, class 1 at 4 and 9. With one shot: query 0 with support 3 is correct,
    # whether the other support is 4 or 9. Query 3 with support 0 is correct against 9, wrong
    # against 4. Query 4 with support 9 is wrong, because 0 and 3 are nearer. Query 9 with support 4
    # is always correct.
    embeddings = np.array([[0], [3], [4], [9]])
    accuracy = few_shot_accuracy(embeddings, [0, 0, 1, 1], episodes=20_000)
    assert accuracy.value == pytest.approx((1 + 0.5 + 0 + 1) / 4, abs=0.01)
    assert accuracy.low < accuracy.value < accuracy.high


def test_random_embeddings_have_chance_accuracy():
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(2000, 8))
    accuracy = few_shot_accuracy(
        noise, np.arange(2000) % 100, ways=(20,), shots=(5,), episodes=1000
    )
    assert accuracy.low < 1 / 20 < accuracy.high


def test_equal_embeddings_have_an_accuracy_of_zero():
    assert few_shot_accuracy(np.ones((40, 3)), np.arange(40) % 4, ways=(4,)).value == 0


@pytest.mark.parametrize("distance_name", DISTANCES)
def test_all_distances_classify_clusters_correctly_only_if_they_match_the_classes(distance_name):
    layer = make_distance(distance_name)
    layer.build((None, 2), (None, 2))
    if distance_name == "learned_l1":
        layer.set_weights([np.array([[-3], [-3]], np.float32), np.array([1], np.float32)])
    clusters = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])

    def distance(left, right):
        return np.asarray(layer(left, right))

    assert few_shot_accuracy(clusters, [0, 0, 1, 1], distance).value == 1
    assert few_shot_accuracy(clusters, [0, 1, 0, 1], distance).value < 0.4


@settings(max_examples=20, deadline=None)
@given(shots=st.integers(1, 4), ways=st.integers(2, 5), seed=st.integers(0, 2**32))
def test_queries_are_classified_as_by_a_slow_loop(shots, ways, seed):
    generator = np.random.default_rng(seed)
    embeddings = generator.normal(size=(30, 2)).astype(np.float32)
    rows = np.stack(
        [generator.permutation(30)[: ways * (1 + shots)].reshape(ways, -1) for _ in range(7)]
    )
    correct = module._classify_queries(embeddings, rows, euclidean)
    for episode, class_rows in enumerate(rows):
        for way, own in enumerate(class_rows):
            others = [embeddings[other[1:]] for j, other in enumerate(class_rows) if j != way]
            expected = slow_metrics.is_query_correct(
                *(embeddings[own[0]], embeddings[own[1:]], others, euclidean)
            )
            assert correct[episode, way] == expected


def test_queries_are_uniform_and_never_in_the_support_set(monkeypatch):
    calls = []
    monkeypatch.setattr(
        module,
        "_classify_queries",
        lambda _, rows, __: calls.append(rows) or np.ones(rows.shape[:2], bool),
    )
    classes = np.random.default_rng(0).permutation(np.repeat([5, 8, 9, 30], [4, 6, 4, 3]))
    few_shot_accuracy(np.zeros((17, 1)), classes, ways=(3,), shots=(2,), episodes=40_000)
    (rows,) = calls
    sorted_rows = np.sort(rows.reshape(len(rows), -1), axis=1)
    assert (np.diff(sorted_rows, axis=1) > 0).all()  # all distinct
    row_classes = classes[rows]
    assert (row_classes == row_classes[:, :, :1]).all()
    query_share = np.bincount(rows[:, :, 0].ravel(), minlength=17) / len(rows)
    # A class is in 3 of 4 episodes, and each of its n examples is the query in 1 of n of these.
    _, class_index, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    assert query_share == pytest.approx(0.75 / sizes[class_index], abs=0.01)


def test_all_subsets_are_equally_likely():
    drawn = sample_subsets(np.full(60_000, 5), 3, np.random.default_rng(0))
    subsets, counts = np.unique(np.sort(drawn, axis=1), axis=0, return_counts=True)
    assert len(subsets) == 10
    assert counts / 60_000 == pytest.approx(np.full(10, 0.1), abs=0.01)


def test_combinations_with_too_few_classes_are_skipped_with_a_note():
    config = FewShotConfig(ways=(2, 5), shots=(1, 3), episodes=10)
    classes = np.repeat(np.arange(5), [4, 4, 2, 2, 2])
    embeddings = np.arange(14, dtype=np.float32)[:, None]
    metrics, notes = evaluate_few_shot(embeddings, classes, euclidean, config, resamples=10, seed=0)
    assert [(each.ways, each.shots, each.classes) for each in metrics] == [
        (2, 1, 5),
        (2, 3, 2),
        (5, 1, 5),
    ]
    assert notes == ("5-way 3-shot requires 5 classes with at least 4 examples each, got 2",)


def test_the_seed_determines_the_episodes():
    generator = np.random.default_rng(1)
    noise, classes = generator.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 6
    config = FewShotConfig(ways=(5,), shots=(1,), episodes=50)

    def metrics(seed):
        return evaluate_few_shot(noise, classes, euclidean, config, resamples=20, seed=seed)

    assert metrics(3) == metrics(3)
    assert metrics(3) != metrics(4)
