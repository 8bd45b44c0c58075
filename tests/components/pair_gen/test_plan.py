import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen.hashing import hash_of
from diptych.components.pair_gen.plan import make_partitions, make_plan
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column, Inputs

VECTOR = Inputs(kind="vector", columns=(Column(name="a"),))
PAIRED = VECTOR.model_copy(update={"right_columns": (Column(name="b"),)})


def plan_of(sizes, cap, seed):
    keys = np.sort(hash_of(seed, np.arange(sizes.size)))
    plan = make_plan("train", keys, np.maximum(sizes, 2), Pairs(), VECTOR)
    return dataclasses.replace(plan, partitions=make_partitions(sizes, cap))


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(1, 60), min_size=2, max_size=8).filter(lambda n: sum(n) > 16),
    cap=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_ranks_do_not_depend_on_the_partitions(counts, cap, seed):
    sizes = np.array(counts)
    classes = np.repeat(np.arange(sizes.size), sizes)
    hashes = hash_of(seed, 5, np.arange(classes.size))
    order = np.lexsort((hashes, classes))
    expected = np.empty(classes.size, np.int64)
    expected[order] = np.concatenate([np.arange(size) for size in counts])

    plan = plan_of(sizes, cap, seed)
    partitions = plan.partitions_of(classes, hashes)
    assert partitions.max() < plan.partitions.total
    amounts = np.bincount(partitions, minlength=plan.partitions.total)
    for partition in np.unique(partitions).tolist():
        rows = np.flatnonzero(partitions == partition)
        rows = rows[np.lexsort((hashes[rows], classes[rows]))]
        first = np.searchsorted(classes[rows], classes[rows])
        ranks = np.arange(rows.size) - first
        ranks += plan.first_ranks(partition, amounts)[classes[rows]]
        assert ranks.tolist() == expected[rows].tolist()


@settings(max_examples=30, deadline=None)
@given(
    counts=st.one_of(
        st.lists(st.integers(1, 9000), min_size=2, max_size=100),
        st.tuples(st.integers(1, 1200), st.integers(2, 400)).map(lambda pair: pair[:1] * pair[1]),
    ),
    cap=st.integers(800, 1200),
    seed=st.integers(0, 99),
)
def test_no_partition_is_larger_than_its_cap(counts, cap, seed):
    sizes = np.array(counts)
    plan = plan_of(sizes, cap, seed)
    classes = np.repeat(np.arange(sizes.size), sizes)
    partitions = plan.partitions_of(classes, hash_of(seed, 5, np.arange(classes.size)))
    amounts = np.bincount(partitions, minlength=plan.partitions.total)
    assert amounts.size == plan.partitions.total
    assert amounts.max() <= cap
    assert amounts.size <= 4 * sizes.sum() / cap + 2  # a quarter full at least, but for the last


@pytest.mark.parametrize(
    ("split", "inputs", "counts", "message"),
    [
        (
            "train",
            VECTOR,
            [5, 1, 1],
            r"^Pairs need at least 2 classes with 2 examples each.*got 1 \(and 2 with one\).*add",
        ),
        ("test", VECTOR, [1, 1], r"^The test split needs at least 2 classes.*split\.test.*seed"),
        ("calibration", VECTOR, [9], r"^The calibration split needs at least 2 classes"),
        ("test", PAIRED, [9], r"^The test split needs same and different.*got 0 and 9.*same_value"),
    ],
)
def test_a_split_without_pairs_says_what_to_do(split, inputs, counts, message):
    keys = np.arange(len(counts), dtype=np.uint64)
    with pytest.raises(DataError, match=message):
        make_plan(split, keys, np.array(counts), Pairs(), inputs)


def test_evaluation_splits_follow_their_own_policy():
    keys, counts = hash_of(0, np.arange(2)), np.array([400, 2])
    config = Pairs(policy="oversample", rounds=1, evaluation_rounds=3)
    train, test = (make_plan(name, keys, counts, config, VECTOR) for name in ("train", "test"))
    # 10 and 1 batches of both classes; of what the first has more, 8 chunks join each of them,
    # and the others make batches of 8.
    assert train.layout.num_batches == 10 + 2
    assert test.layout.num_batches == 3 * (1 + 12)
