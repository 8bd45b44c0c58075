from itertools import combinations

import keras
import numpy as np
import pytest
from shard_writer import blobs, write_split

from diptych.components.trainer.distances import make_distance
from diptych.components.trainer.network import Network
from diptych.components.trainer.pair_evaluator import PairEvaluator
from diptych.schemas.shards import SplitManifest, read_split_pairs


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "Split-train"
    write_split(folder, blobs(batches=6, seed=1), num_shards=2)
    return folder


def test_the_first_rows_of_a_split_contain_the_pairs_among_them(split):
    all_pairs = read_split_pairs(split)
    rows = SplitManifest.read(split).num_rows
    batch = rows // 6
    first_pairs = read_split_pairs(split, max_rows=batch)
    assert len(first_pairs.ids) == len(np.unique(first_pairs.placed[0])) <= batch
    (left, right) = (
        np.flatnonzero((all_pairs.ids == side).all(axis=1)) for side in first_pairs.ids[:2]
    )
    assert len(left) == len(right) == 1
    assert 0 < len(first_pairs.same) < len(all_pairs.same)
    assert len(read_split_pairs(split, max_rows=rows).same) == len(all_pairs.same)
    assert len(read_split_pairs(split, max_rows=1).same) == 0


def test_accuracy_equals_that_of_a_loop_over_all_pairs(split):
    inputs = keras.Input(SplitManifest.read(split).input.shape)
    network = Network(
        keras.Model(inputs, keras.layers.Identity()(inputs)), make_distance("euclidean")
    )
    threshold, is_correct = 4.0, []
    for x, classes in blobs(batches=6, seed=1):
        for left, right in combinations(range(len(x)), 2):
            is_same = np.sqrt(np.sum((x[left] - x[right]) ** 2)) <= threshold
            is_correct.append(is_same == (classes[left] == classes[right]))
    assert 0.5 < np.mean(is_correct) < 1
    assert PairEvaluator(split).accuracy(network, threshold) == pytest.approx(np.mean(is_correct))
    assert PairEvaluator(split, max_rows=1).accuracy(network, threshold) is None
