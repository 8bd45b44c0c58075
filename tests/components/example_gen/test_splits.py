import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.example_gen.example_batch import ExampleBatch, bytes_feature
from diptych.components.example_gen.splits import assign_splits, initial_splits
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.shards import SPLITS


@given(
    st.lists(st.binary(max_size=8), max_size=30),
    st.lists(st.binary(max_size=8), max_size=30),
    st.integers(0, 99),
)
def test_new_data_do_not_move_existing_examples(old, new, seed):
    split = SplitConfig(seed=seed)
    before = assign_splits(old, split)
    after = assign_splits(new + old, split)
    np.testing.assert_array_equal(after[len(new) :], before)


def test_splits_are_frozen():  # golden: a new value moves examples from training to test
    keys = [f"key{i}".encode() for i in range(12)]
    assert assign_splits(keys, SplitConfig()).tolist() == GOLDEN


def test_shares_are_met():
    counts = np.bincount(assign_splits([str(i).encode() for i in range(20_000)], SplitConfig()))
    np.testing.assert_allclose(counts / 20_000, [0.6, 0.2, 0.2], atol=0.012)


@pytest.mark.parametrize("seed", [1, 2, 2**32])
def test_another_seed_gives_other_splits(seed):
    keys = [str(i).encode() for i in range(100)]
    assert (
        assign_splits(keys, SplitConfig(seed=seed)).tolist()
        != assign_splits(keys, SplitConfig()).tolist()
    )


def test_a_given_split_replaces_the_hash():
    keys = [f"key{i}".encode() for i in range(12)]
    features = pa.record_batch({"id": bytes_feature(keys)})
    given = ["test", "train", "calibration"] * 4
    batch = ExampleBatch(features, keys, (), given_splits=given)
    assert initial_splits(batch, SplitConfig(), SPLITS).tolist() == [2, 0, 1] * 4


GOLDEN = [2, 0, 1, 2, 0, 0, 0, 0, 2, 0, 0, 1]
