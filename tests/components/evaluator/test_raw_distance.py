"""The no-learning baseline, compared with slow loops."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shard_writer import write_split

from diptych.components.evaluator import raw_distance
from diptych.components.evaluator.model_predictions import ModelPredictions
from diptych.components.evaluator.raw_distance import (
    compute_raw_distance_metrics,
    measure_raw_distances,
    measure_raw_recall,
)
from diptych.components.evaluator.retrieval import evaluate_retrieval
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.config.train import FalseAcceptRate
from diptych.schemas.shards import read_split_pairs

CONFIG = EvaluateConfig(bootstrap=50)


def random_batches(kind, seed, batches=3, classes=3, each=4):
    """Batches of images of 4 x 5 pixels or vectors of 7 numbers, without any signal."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    shape = (len(labels), 4, 5, 3) if kind == "image" else (len(labels), 7)
    return [
        (
            generator.integers(0, 256, shape).astype(np.uint8)
            if kind == "image"
            else generator.normal(size=shape).astype(np.float32),
            labels,
        )
        for _ in range(batches)
    ]


def distances_by_loop(batches, num_shards):
    """Distances and labels of all pairs of each batch, in the order of the shards."""
    rows = []
    for shard in range(num_shards):
        for x, labels in batches[shard::num_shards]:
            inputs = x.astype(np.float64) / (255 if x.dtype == np.uint8 else 1)
            for left in range(len(x)):
                for right in range(left + 1, len(x)):
                    total = 0.0
                    for a, b in zip(inputs[left].ravel(), inputs[right].ravel(), strict=True):
                        total += (a - b) ** 2
                    rows.append((total**0.5, int(labels[left] == labels[right])))
    return tuple(np.array(column) for column in zip(*rows, strict=True))


def recall_by_loop(inputs, labels):
    """Fraction of queries whose nearest example has their class; ties count as misses."""
    hits = []
    for query, label in enumerate(labels):
        others = [row for row in range(len(labels)) if row != query]
        if not any(labels[row] == label for row in others):
            continue
        distance = {row: ((inputs[query] - inputs[row]) ** 2).sum() for row in others}
        own = min(distance[row] for row in others if labels[row] == label)
        other = min(distance[row] for row in others if labels[row] != label)
        hits.append(own < other)
    return np.mean(hits)


@pytest.mark.parametrize("kind", ["image", "vector"])
def test_a_shard_may_be_empty(kind, tmp_path):
    batches = random_batches(kind, seed=2, batches=1)
    write_split(tmp_path / "split", batches, num_shards=3)
    expected, labels = distances_by_loop(batches, 3)
    found, found_labels = measure_raw_distances(tmp_path / "split")
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(found_labels, labels)


@pytest.mark.parametrize("kind", ["image", "vector"])
@pytest.mark.parametrize("cells_per_block", [1, 100, 2**20])
def test_distances_equal_those_of_a_loop(kind, cells_per_block, tmp_path, monkeypatch):
    monkeypatch.setattr(raw_distance, "_CELLS_PER_BLOCK", cells_per_block)
    batches = random_batches(kind, seed=1)
    write_split(tmp_path / "split", batches, num_shards=2)
    distance, same = measure_raw_distances(tmp_path / "split")
    expected_distance, expected_same = distances_by_loop(batches, num_shards=2)
    np.testing.assert_allclose(distance, expected_distance, rtol=1e-6)
    np.testing.assert_array_equal(same, expected_same)
    np.testing.assert_array_equal(same, read_split_pairs(tmp_path / "split").same)


def test_black_and_white_images_are_one_apart_per_pixel(tmp_path):
    x = np.zeros((2, 3, 3, 1), np.uint8)
    x[1] = 255
    write_split(tmp_path / "split", [(x, np.arange(2))], num_shards=1)
    distance, same = measure_raw_distances(tmp_path / "split")
    assert (distance.tolist(), same.tolist()) == ([3.0], [0])  # the root of 9 pixels


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=2, max_size=5),
    levels=st.sampled_from([1, 2, 255]),
    kind=st.sampled_from(["image", "vector"]),
    seed=st.integers(0, 1000),
)
def test_recall_equals_that_of_a_loop_and_of_the_search_of_the_model(
    sizes, levels, kind, seed, tmp_path_factory
):
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(sizes)), sizes)
    # The first four numbers make the ids distinct without influence on the distances; few levels
    # make equal distances frequent.
    x = np.zeros((len(labels), 4, 5, 1), np.uint8)
    x[:, 0, 0, 0] = 10  # the id starts with the same bytes ...
    x[:, 0, 1, 0] = np.arange(len(labels))  # ... and continues with the number of the example
    x[:, 2:] = 20 * generator.integers(0, levels + 1, (len(labels), 2, 5, 1)) % 256
    if kind == "vector":
        x = x.reshape(len(labels), -1)[:, [1, *range(10, 20)]].astype(np.float32)
    folder = tmp_path_factory.mktemp("split") / "split"
    write_split(folder, [(x, labels)], num_shards=1)
    split = read_split_pairs(folder)
    recall = measure_raw_recall(folder, split, CONFIG)
    if max(sizes) < 2:
        assert recall is None
        return
    inputs = x.reshape(len(labels), -1).astype(np.float64)
    assert recall.value == pytest.approx(recall_by_loop(inputs, labels))
    by_model = evaluate_retrieval(inputs.astype(np.float32), labels, "euclidean")
    assert recall.value == pytest.approx(by_model.recall_at_1.mean())


def test_recall_of_few_queries_uses_the_complete_gallery(tmp_path, monkeypatch):
    monkeypatch.setattr(raw_distance, "_MAX_QUERIES", 6)
    ((x, labels),) = random_batches("vector", seed=3, batches=1, classes=4, each=3)
    write_split(tmp_path / "split", [(x, labels)], num_shards=1)
    split = read_split_pairs(tmp_path / "split")
    recall = measure_raw_recall(tmp_path / "split", split, CONFIG)
    by_id = {value.tobytes()[:16]: row for row, value in enumerate(x)}
    order = [by_id[example_id.tobytes()] for example_id in split.ids]
    everything = evaluate_retrieval(x[order], labels[order], "euclidean")
    assert recall.value == everything.recall_at_1[::2].mean()


def test_a_class_without_a_second_example_has_no_recall(tmp_path):
    x = np.arange(6, dtype=np.float32).reshape(3, 2)
    write_split(tmp_path / "split", [(x, np.arange(3))], num_shards=1)
    assert measure_raw_recall(tmp_path / "split", read_split_pairs(tmp_path / "split"), CONFIG) is (
        None
    )


def write_positions(folder, positions):
    """Write a split of one batch; classes a and b have positions on a line."""
    x = np.array([[value] for values in positions for value in values], np.float32)
    labels = np.repeat(np.arange(len(positions)), [len(values) for values in positions])
    write_split(folder, [(x, labels)], num_shards=1)
    return read_split_pairs(folder)


def predictions_of(split, distance, threshold):
    pairs = ScoredPairs(len(split.ids), split.left, split.right, split.same, distance)
    return ModelPredictions(np.zeros((len(split.ids), 2), np.float32), pairs, threshold)


@pytest.mark.parametrize(
    ("criterion", "threshold", "accuracy"),
    [
        # Calibration: positive pairs at 1 and 2, negative pairs at 5, 7, 4 and 6.
        ("best_accuracy", 3.0, 2 / 6),
        # One of four negative pairs is accepted: that at 4.
        (FalseAcceptRate(false_accept_rate=0.25), 4.5, 3 / 6),
    ],
)
def test_the_threshold_comes_from_the_calibration_split(tmp_path, criterion, threshold, accuracy):
    write_positions(tmp_path / "Split-calibration", [[0, 1], [5, 7]])
    # Test: positive pairs at 4 and 2.5, negative pairs at 2.8, 5.3, 1.2 and 1.3.
    test = write_positions(tmp_path / "Split-test", [[0, 4], [2.8, 5.3]])
    candidate = predictions_of(test, 1.0 - test.same.astype(np.float32), 0.5)
    metrics = compute_raw_distance_metrics(candidate, test, tmp_path, criterion, CONFIG)
    assert metrics.comparison.threshold == pytest.approx(threshold)
    assert metrics.accuracy.value == metrics.comparison.accuracy == pytest.approx(accuracy)
    assert metrics.comparison.difference.value == pytest.approx(1 - accuracy)
    assert metrics.comparison.only_candidate_correct == round(6 * (1 - accuracy))
    # The positive pair at 4 is nearer than the negative pair at 5.3 alone, that at 2.5 than those
    # at 2.8 and 5.3: 3 of 8 combinations.
    assert metrics.roc_auc.value == pytest.approx(3 / 8)
    # Nearest neighbours: 0 -> 2.8, 4 -> 2.8 and 5.3 (1.2 and 1.3), 2.8 -> 4, 5.3 -> 4: never own.
    assert metrics.recall_at_1.value == 0


def test_metrics_do_not_depend_on_the_order_of_the_pairs(tmp_path):
    # The ids sort the examples, so the bootstrap draws the same ones.
    batches = random_batches("vector", seed=4)
    reordered = [
        (x[::-1].copy(), labels[::-1].copy()) for x, labels in (batches[2], batches[0], batches[1])
    ]
    metrics = []
    for name, order in (("a", batches), ("b", reordered)):
        write_split(tmp_path / name / "Split-calibration", order, num_shards=1)
        write_split(tmp_path / name / "Split-test", order, num_shards=2)
        test = read_split_pairs(tmp_path / name / "Split-test")
        distance = (test.left + test.right).astype(np.float32)
        metrics.append(
            compute_raw_distance_metrics(
                predictions_of(test, distance, 30.0), test, tmp_path / name, "best_accuracy", CONFIG
            )
        )
    assert metrics[0] == metrics[1]
