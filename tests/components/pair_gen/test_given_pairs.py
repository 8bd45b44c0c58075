import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen.given_pairs import (
    assign_pair_slots,
    compute_pair_weights,
    list_unique_examples,
    make_pair_layout,
    sample_pair_triplets,
)
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.errors import DataError

few_examples = settings(max_examples=25, deadline=None)
COUNTS = st.tuples(st.integers(3, 60), st.integers(3, 60))
RATIOS = st.sampled_from(["1:1", "1:2", "3:2"])


def assign(counts, config, sampling, rounds):
    layout = make_pair_layout(np.array(counts), config, sampling, rounds)
    same = np.repeat([0, 1], counts)
    ranks = np.concatenate([np.arange(count) for count in counts])
    slots = assign_pair_slots(layout, same, ranks)
    return layout, same, slots


@few_examples
@given(
    counts=COUNTS,
    ratio=RATIOS,
    sampling=st.sampled_from(["oversample", "undersample"]),
    size=st.integers(2, 5),
)
def test_each_batch_has_the_exact_ratio_and_distinct_pairs(counts, ratio, sampling, size):
    config = PairsConfig(ratio=ratio, classes_per_batch=2, examples_per_class=size, max_repeats=3)
    layout, same, slots = assign(counts, config, sampling, rounds=2)
    ratio_fraction = config.negatives_per_positive
    for batch in range(layout.num_batches):
        rows = slots.row[slots.batch == batch]
        num_positive = int(same[rows].sum())
        assert num_positive > 0
        assert (
            rows.size - num_positive
        ) * ratio_fraction.denominator == num_positive * ratio_fraction.numerator
        assert np.unique(rows).size == rows.size


@settings(max_examples=8, deadline=None)
@given(counts=COUNTS, ratio=RATIOS, sampling=st.sampled_from(["oversample", "undersample"]))
def test_successive_rounds_use_every_pair(counts, ratio, sampling):
    config = PairsConfig(ratio=ratio, classes_per_batch=2, max_repeats=2)
    _, _, slots = assign(counts, config, sampling, rounds=70)
    assert np.unique(slots.row).size == sum(counts)


@few_examples
@given(counts=COUNTS, ratio=RATIOS, size=st.integers(2, 5))
def test_oversample_uses_every_pair_in_every_round(counts, ratio, size):
    config = PairsConfig(ratio=ratio, classes_per_batch=2, examples_per_class=size, max_repeats=99)
    layout, _, slots = assign(counts, config, "oversample", rounds=4)
    number = slots.batch // (layout.num_batches // 4)
    used = np.unique(np.stack([slots.row, number]), axis=1)
    assert used.shape[1] == 4 * sum(counts)


@few_examples
@given(counts=COUNTS, ratio=RATIOS, most=st.integers(2, 4))
def test_oversample_uses_no_pair_more_than_max_repeats_times_without_padding(counts, ratio, most):
    config = PairsConfig(ratio=ratio, classes_per_batch=2, max_repeats=most)
    layout, _, slots = assign(counts, config, "oversample", rounds=3)
    number = slots.batch // (layout.num_batches // 3)
    uses = np.bincount((slots.row * 3 + number)[~slots.padding])
    assert uses.max() <= most


@few_examples
@given(counts=st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_natural_uses_every_pair_once_per_round(counts):
    layout, _, slots = assign(counts, PairsConfig(), "natural", rounds=3)
    assert (np.bincount(slots.row) == 3).all()
    assert np.unique(slots.batch).size == layout.num_batches


def test_oversample_repeats_the_rarer_kind():
    config = PairsConfig(
        classes_per_batch=2, examples_per_class=4
    )  # 4 pairs per batch, 2 of each kind
    _, same, slots = assign((20, 6), config, "oversample", rounds=1)
    assert np.bincount(slots.row[same[slots.row] == 0]).tolist() == [1] * 20
    uses = np.bincount(slots.row)[20:]
    assert uses.sum() == 20
    assert uses.min() >= 3


def test_too_few_pairs_for_the_ratio_raise_a_helpful_error():
    with pytest.raises(DataError, match=r"at least 1 positive and 5 negative.*got 9 and 4.*Add"):
        make_pair_layout(np.array([4, 9]), PairsConfig(ratio="1:5"), "oversample", 1)


def test_weights_by_hand():
    assert compute_pair_weights(np.array([30, 10]), "inverse_frequency").tolist() == [
        40 / 60,
        40 / 20,
    ]
    assert compute_pair_weights(np.array([30, 10]), "oversample").tolist() == [1, 1]


def test_examples_are_listed_once_per_batch():
    left = np.array([[1, 1], [2, 2], [1, 1]], np.uint64)
    right = np.array([[2, 2], [3, 3], [2, 2]], np.uint64)
    rows = list_unique_examples(np.array([0, 0, 4]), left, right)
    assert rows.batch.tolist() == [0, 0, 0, 4, 4]
    assert rows.source.tolist() == [0, 1, 4, 2, 5]
    assert rows.left.tolist() == [0, 1, 3]
    assert rows.right.tolist() == [1, 2, 4]


@few_examples
@given(seed=st.integers(0, 2**32), size=st.integers(1, 30))
def test_triplets_combine_a_positive_and_a_negative_pair(seed, size):
    generator = np.random.default_rng(seed)
    batch = np.sort(generator.integers(0, 4, size))
    names = generator.integers(0, 9, (2, size)).astype(np.uint64)
    same = generator.integers(0, 2, size).astype(bool)
    rows = list_unique_examples(batch, *(np.stack([side, side], axis=1) for side in names))
    partners = collections.defaultdict(set)
    for left, right, num_positive in zip(
        rows.left.tolist(), rows.right.tolist(), same, strict=True
    ):
        if not num_positive:
            partners[left].add(right)
            partners[right].add(left)
    anchor, positive, negative, pair = sample_pair_triplets(rows, same, seed)
    expected = [
        index
        for index in np.flatnonzero(same).tolist()
        if partners[int(rows.left[index])] or partners[int(rows.right[index])]
    ]
    assert pair.tolist() == expected
    for number, index in enumerate(pair.tolist()):
        assert {int(anchor[number]), int(positive[number])} == {
            int(rows.left[index]),
            int(rows.right[index]),
        }
        assert int(negative[number]) in partners[int(anchor[number])]
