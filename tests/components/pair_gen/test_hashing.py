import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen.hashing import (
    hash_ids,
    hash_integers,
    hash_labels,
    ids_to_words,
    permute,
)


@settings(max_examples=40, deadline=None)
@given(sizes=st.lists(st.integers(1, 300), min_size=1, max_size=6), seed=st.integers(0, 2**70))
def test_permute_is_a_bijection_of_each_range(sizes, seed):
    positions = np.concatenate([np.arange(size) for size in sizes])
    owner = np.repeat(np.arange(len(sizes)), sizes)
    keys = hash_integers(seed, owner)
    permuted = permute(positions, np.array(sizes)[owner], keys)
    for number, size in enumerate(sizes):
        assert sorted(permuted[owner == number].tolist()) == list(range(size))


@settings(max_examples=40, deadline=None)
@given(size=st.integers(1, 2**40), seed=st.integers(0, 2**32))
def test_permute_is_injective_on_large_ranges(size, seed):
    positions = np.unique(np.linspace(0, size - 1, 200).astype(np.int64))
    permuted = permute(positions, np.array([size]), hash_integers(seed))
    assert permuted.min() >= 0
    assert permuted.max() < size
    assert np.unique(permuted).size == positions.size


def test_permute_gives_all_orders_with_about_equal_frequency():
    keys = np.repeat(hash_integers(1, np.arange(24_000)), 4)
    orders = permute(np.tile(np.arange(4), 24_000), np.array([4]), keys).reshape(-1, 4)
    _, counts = np.unique(orders, axis=0, return_counts=True)
    assert counts.size == 24
    assert counts.min() > 800
    assert counts.max() < 1200


def test_positions_outside_the_range_raise():
    with pytest.raises(ValueError, match="positions must lie"):
        permute(np.array([3]), np.array([3]), hash_integers(0))


def test_ids_sort_as_their_bytes_do():
    ids = np.frombuffer(b"\x00" * 15 + b"\x02" + b"\x01" + b"\x00" * 15, np.uint8).reshape(2, 16)
    assert ids_to_words(ids).tolist() == [[0, 2], [2**56, 0]]


def test_different_seeds_give_different_orders():
    ids = np.arange(16 * 50, dtype=np.int64).astype(np.uint8).reshape(50, 16)
    assert np.argsort(hash_ids(ids, 0)).tolist() != np.argsort(hash_ids(ids, 1)).tolist()


def test_hashes_and_orders_are_frozen():  # golden: a new value re-samples every data set
    ids = np.arange(32, dtype=np.uint8).reshape(2, 16)
    assert hash_ids(ids, 7).tolist() == [1173672654693516075, 804705292684319113]
    assert hash_labels([b"a", b"b"]).tolist() == [4681665781835383343, 9543904841865449333]
    first = permute(np.arange(10), np.array([10]), hash_integers(3, 4))
    assert first.tolist() == [3, 9, 4, 7, 1, 0, 8, 5, 2, 6]
    large = permute(np.array([0, 2**39]), np.array([2**40]), hash_integers(5))
    assert large.tolist() == [222561235621, 293583246597]
