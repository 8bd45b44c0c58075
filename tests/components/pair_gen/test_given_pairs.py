import collections

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen.given_pairs import (
    distinct_examples,
    make_pair_layout,
    pair_triplets,
    pair_weights,
    place_pairs,
)
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.errors import DataError

some = settings(max_examples=25, deadline=None)
COUNTS = st.tuples(st.integers(3, 60), st.integers(3, 60))
RATIOS = st.sampled_from(["1:1", "1:2", "3:2"])


def placed(counts, config, policy, rounds):
    layout = make_pair_layout(np.array(counts), config, policy, rounds)
    same = np.repeat([0, 1], counts)
    ranks = np.concatenate([np.arange(count) for count in counts])
    places = place_pairs(layout, same, ranks)
    return layout, same, places


@some
@given(
    counts=COUNTS,
    ratio=RATIOS,
    policy=st.sampled_from(["oversample", "undersample"]),
    size=st.integers(2, 5),
)
def test_each_batch_has_the_exact_ratio_and_no_pair_twice(counts, ratio, policy, size):
    config = Pairs(ratio=ratio, classes_per_batch=2, examples_per_class=size, max_repeats=3)
    layout, same, places = placed(counts, config, policy, rounds=2)
    different = config.different_per_same
    for batch in range(layout.num_batches):
        rows = places.row[places.batch == batch]
        alike = int(same[rows].sum())
        assert alike > 0
        assert (rows.size - alike) * different.denominator == alike * different.numerator
        assert np.unique(rows).size == rows.size


@settings(max_examples=8, deadline=None)
@given(counts=COUNTS, ratio=RATIOS, policy=st.sampled_from(["oversample", "undersample"]))
def test_rounds_use_every_pair_in_the_end(counts, ratio, policy):
    config = Pairs(ratio=ratio, classes_per_batch=2, max_repeats=2)
    _, _, places = placed(counts, config, policy, rounds=70)
    assert np.unique(places.row).size == sum(counts)


@some
@given(counts=COUNTS, ratio=RATIOS, size=st.integers(2, 5))
def test_oversample_uses_every_pair_in_every_round(counts, ratio, size):
    config = Pairs(ratio=ratio, classes_per_batch=2, examples_per_class=size, max_repeats=99)
    layout, _, places = placed(counts, config, "oversample", rounds=4)
    number = places.batch // (layout.num_batches // 4)
    used = np.unique(np.stack([places.row, number]), axis=1)
    assert used.shape[1] == 4 * sum(counts)


@some
@given(counts=COUNTS, ratio=RATIOS, most=st.integers(2, 4))
def test_oversample_uses_no_pair_more_than_max_repeats_times_but_to_fill_up(counts, ratio, most):
    config = Pairs(ratio=ratio, classes_per_batch=2, max_repeats=most)
    layout, _, places = placed(counts, config, "oversample", rounds=3)
    number = places.batch // (layout.num_batches // 3)
    uses = np.bincount((places.row * 3 + number)[~places.fill])
    assert uses.max() <= most


@some
@given(counts=st.tuples(st.integers(1, 60), st.integers(1, 60)))
def test_natural_places_every_pair_once_a_round(counts):
    layout, _, places = placed(counts, Pairs(), "natural", rounds=3)
    assert (np.bincount(places.row) == 3).all()
    assert np.unique(places.batch).size == layout.num_batches


def test_oversample_lets_the_rarer_kind_go_round():
    config = Pairs(classes_per_batch=2, examples_per_class=4)  # 4 pairs a batch, 2 of a kind
    _, same, places = placed((20, 6), config, "oversample", rounds=1)
    assert np.bincount(places.row[same[places.row] == 0]).tolist() == [1] * 20
    uses = np.bincount(places.row)[20:]
    assert uses.sum() == 20
    assert uses.min() >= 3


def test_too_few_pairs_for_the_ratio_says_what_to_do():
    with pytest.raises(DataError, match=r"at least 1 same and 5 different.*got 9 and 4.*Add"):
        make_pair_layout(np.array([4, 9]), Pairs(ratio="1:5"), "oversample", 1)


def test_weights_by_hand():
    assert pair_weights(np.array([30, 10]), "inverse_frequency").tolist() == [40 / 60, 40 / 20]
    assert pair_weights(np.array([30, 10]), "oversample").tolist() == [1, 1]


def test_examples_are_listed_once_a_batch():
    left = np.array([[1, 1], [2, 2], [1, 1]], np.uint64)
    right = np.array([[2, 2], [3, 3], [2, 2]], np.uint64)
    rows = distinct_examples(np.array([0, 0, 4]), left, right)
    assert rows.batch.tolist() == [0, 0, 0, 4, 4]
    assert rows.source.tolist() == [0, 1, 4, 2, 5]
    assert rows.left.tolist() == [0, 1, 3]
    assert rows.right.tolist() == [1, 2, 4]


@some
@given(seed=st.integers(0, 2**32), size=st.integers(1, 30))
def test_triplets_follow_from_a_same_and_a_different_pair(seed, size):
    generator = np.random.default_rng(seed)
    batch = np.sort(generator.integers(0, 4, size))
    names = generator.integers(0, 9, (2, size)).astype(np.uint64)
    same = generator.integers(0, 2, size).astype(bool)
    rows = distinct_examples(batch, *(np.stack([side, side], axis=1) for side in names))
    partners = collections.defaultdict(set)
    for left, right, alike in zip(rows.left.tolist(), rows.right.tolist(), same, strict=True):
        if not alike:
            partners[left].add(right)
            partners[right].add(left)
    anchor, positive, negative, pair = pair_triplets(rows, same, seed)
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
