import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen.hashing import hash_integers
from diptych.components.pair_gen.plan import make_partitions, make_plan
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column, InputSpec

VECTOR = InputSpec(kind="vector", columns=(Column(name="a"),))
PAIRED = VECTOR.model_copy(update={"right_columns": (Column(name="b"),)})


def make_test_plan(sizes, max_rows, seed):
    keys = np.sort(hash_integers(seed, np.arange(sizes.size)))
    plan = make_plan("train", keys, np.maximum(sizes, 2), PairsConfig(), VECTOR)
    return dataclasses.replace(plan, partitions=make_partitions(sizes, max_rows))


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=8).filter(lambda n: sum(n) > 16),
    max_rows=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_ranks_do_not_depend_on_the_partitions(counts, max_rows, seed):
    sizes = np.array(counts)
    classes = np.repeat(np.arange(sizes.size), sizes)
    hashes = hash_integers(seed, 5, np.arange(classes.size))
    order = np.lexsort((hashes, classes))
    expected = np.empty(classes.size, np.int64)
    expected[order] = np.concatenate([np.arange(size) for size in counts])

    plan = make_test_plan(sizes, max_rows, seed)
    partitions = plan.find_partitions(classes, hashes)
    assert partitions.max() < plan.partitions.num_partitions
    partition_sizes = np.bincount(partitions, minlength=plan.partitions.num_partitions)
    for partition in np.unique(partitions).tolist():
        rows = np.flatnonzero(partitions == partition)
        rows = rows[np.lexsort((hashes[rows], classes[rows]))]
        first = np.searchsorted(classes[rows], classes[rows])
        ranks = np.arange(rows.size) - first
        ranks += plan.first_ranks(partition, partition_sizes)[classes[rows]]
        assert ranks.tolist() == expected[rows].tolist()


@settings(max_examples=30, deadline=None)
@given(
    counts=st.one_of(
        st.lists(st.integers(1, 9000), min_size=2, max_size=100),
        st.tuples(st.integers(1, 1200), st.integers(2, 400)).map(lambda pair: pair[:1] * pair[1]),
    ),
    max_rows=st.integers(800, 1200),
    seed=st.integers(0, 99),
)
def test_no_partition_is_larger_than_the_limit(counts, max_rows, seed):
    sizes = np.array(counts)
    plan = make_test_plan(sizes, max_rows, seed)
    classes = np.repeat(np.arange(sizes.size), sizes)
    partitions = plan.find_partitions(classes, hash_integers(seed, 5, np.arange(classes.size)))
    partition_sizes = np.bincount(partitions, minlength=plan.partitions.num_partitions)
    assert partition_sizes.size == plan.partitions.num_partitions
    assert partition_sizes.max() <= max_rows
    assert (
        partition_sizes.size <= 4 * sizes.sum() / max_rows + 2
    )  # all but the last are at least a quarter full


@pytest.mark.parametrize(
    ("split", "inputs", "counts", "message"),
    [
        (
            "train",
            VECTOR,
            [5, 1, 1],
            r"^Pairs need at least 2 classes with 2 examples each.*got 1 \(and 2 with one .*add",
        ),
        ("test", VECTOR, [1, 1], r"^The test split needs at least 2 classes.*split\.test.*seed"),
        ("calibration", VECTOR, [9], r"^The calibration split needs at least 2 classes"),
        (
            "test",
            PAIRED,
            [9],
            r"^The test split needs positive and negative.*got 0 and 9.*same_value",
        ),
    ],
)
def test_a_split_without_pairs_raises_a_helpful_error(split, inputs, counts, message):
    keys = np.arange(len(counts), dtype=np.uint64)
    with pytest.raises(DataError, match=message):
        make_plan(split, keys, np.array(counts), PairsConfig(), inputs)


def test_evaluation_splits_use_their_sampling():
    keys, counts = hash_integers(0, np.arange(2)), np.array([400, 2])
    config = PairsConfig(sampling="oversample", rounds=1, evaluation_rounds=3)
    train, test = (make_plan(name, keys, counts, config, VECTOR) for name in ("train", "test"))
    # 10 and 1 batches with both classes. 8 of the remaining chunks of the first class join each
    # of them, and the others form batches of 8.
    assert train.layout.num_batches == 10 + 2
    assert test.layout.num_batches == 3 * (1 + 12)
