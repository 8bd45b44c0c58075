"""The pairs that a network is judged by."""

from itertools import combinations

import keras
import numpy as np
import pytest
from shard_writer import blobs, write_split

from diptych.components.trainer.distances import make_distance
from diptych.components.trainer.network import Network
from diptych.components.trainer.pair_evaluator import JudgedPairs
from diptych.schemas.shards import Manifest, read_split_pairs


@pytest.fixture(scope="module")
def split(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pairs") / "Split-train"
    write_split(folder, blobs(batches=6, seed=1), num_shards=2)
    return folder


def test_the_first_rows_of_a_split_have_the_pairs_among_them(split):
    whole = read_split_pairs(split)
    rows = Manifest.read(split).num_placed
    batch = rows // 6
    some = read_split_pairs(split, most=batch)
    assert len(some.ids) == len(np.unique(some.placed[0])) <= batch
    (left, right) = (np.flatnonzero((whole.ids == side).all(axis=1)) for side in some.ids[:2])
    assert len(left) == len(right) == 1
    assert 0 < len(some.same) < len(whole.same)
    assert len(read_split_pairs(split, most=rows).same) == len(whole.same)
    assert len(read_split_pairs(split, most=1).same) == 0


def test_accuracy_is_that_of_a_look_at_each_pair(split):
    inputs = keras.Input(Manifest.read(split).input.shape)
    network = Network(
        keras.Model(inputs, keras.layers.Identity()(inputs)), make_distance("euclidean")
    )
    threshold, right = 4.0, []
    for x, classes in blobs(batches=6, seed=1):
        for left, right_one in combinations(range(len(x)), 2):
            near = np.sqrt(np.sum((x[left] - x[right_one]) ** 2)) <= threshold
            right.append(near == (classes[left] == classes[right_one]))
    assert 0.5 < np.mean(right) < 1
    assert JudgedPairs(split).accuracy(network, threshold) == pytest.approx(np.mean(right))
    assert JudgedPairs(split, most=1).accuracy(network, threshold) is None
