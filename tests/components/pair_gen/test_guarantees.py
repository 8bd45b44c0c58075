"""Guarantees of PairGen, for up to hundreds of classes with up to thousands of examples."""

import functools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import MOST, POLICIES, SETTINGS, class_sizes

from diptych.schemas.config.pairs import PairsConfig

few_examples = settings(max_examples=6, deadline=None)
each_policy = pytest.mark.parametrize("sampling", POLICIES)


@pytest.fixture(scope="module", params=[False, True], ids=["random", "similarity_ordered"])
def lay_out(lay_out, request):
    return functools.partial(lay_out, similarity_ordered=request.param)


def list_sides(pairs, chosen):
    return np.concatenate([pairs.left[chosen], pairs.right[chosen]])


@each_policy
@few_examples
@given(sizes=class_sizes(), config=SETTINGS)
def test_every_batch_has_the_exact_ratio_and_no_pairs_across_batches(
    lay_out, sampling, sizes, config
):
    sampled = lay_out(sizes, config, sampling)
    left, right, same = sampled.pairs.left, sampled.pairs.right, sampled.pairs.same
    number = sampled.layout.num_batches
    positive = np.bincount(sampled.batch[left[same]], minlength=number)
    negative = np.bincount(sampled.batch[left[~same]], minlength=number)
    assert (positive * sampled.ratio[1] == negative * sampled.ratio[0]).all()
    assert (sampled.batch[left] == sampled.batch[right]).all()
    assert ((sampled.class_index[left] == sampled.class_index[right]) == same).all()


@each_policy
@few_examples
@given(sizes=class_sizes(fewest=1), config=SETTINGS)
def test_no_example_is_paired_with_itself_and_no_pair_occurs_twice_in_a_pass(
    lay_out, sampling, sizes, config
):
    sampled = lay_out(sizes, config, sampling)
    left, right = sampled.pairs.left, sampled.pairs.right
    assert (sampled.example[left] != sampled.example[right]).all()
    first = sampled.round * sampled.quotas.round_stride[sampled.class_index] + sampled.chunk
    turn = first // sampled.quotas.chunks_per_pass[sampled.class_index]
    # One number per example and pass over its class.
    entry = sampled.example * (turn.max(initial=0) + 1) + turn
    pairs = np.sort(np.stack([entry[left], entry[right]]), axis=0)
    assert np.unique(pairs, axis=1).shape[1] == left.size


@pytest.mark.parametrize("sampling", POLICIES[:3])
@few_examples
@given(sizes=class_sizes(fewest=1), config=SETTINGS)
def test_every_round_uses_every_example(lay_out, sampling, sizes, config):
    sampled = lay_out(sizes, config, sampling)
    not_padding = ~sampled.padding
    uses = np.zeros((2, sum(sizes)), int)
    np.add.at(uses, (sampled.round[not_padding], sampled.example[not_padding]), 1)
    assert uses.min() >= 1
    assert uses.max() <= (config.max_repeats if sampling == "oversample" else 1)


@settings(max_examples=4, deadline=None)
@given(sizes=class_sizes(), config=SETTINGS)
def test_the_rounds_of_undersample_cover_all_examples(lay_out, sizes, config):
    rounds = int(np.max(-(-np.array(sizes) // config.examples_per_class)))
    smallest = min([size for size in sizes if size > 1], default=1)
    assume(min(smallest, 99) * rounds * len(sizes) < 5 * MOST)
    if 1 < smallest < config.examples_per_class:
        rounds = -(-max(sizes) // smallest)
    rounds = -(-rounds // max(smallest // config.examples_per_class, 1))
    sampled = lay_out(sizes, config, "undersample", rounds)
    assert np.unique(sampled.example).size == sum(sizes)


@each_policy
@few_examples
@given(sizes=class_sizes(), config=SETTINGS)
def test_classes_with_one_example_are_in_negative_pairs_only(lay_out, sampling, sizes, config):
    sampled = lay_out([*sizes, 1, 1], config, sampling)
    same = list_sides(sampled.pairs, sampled.pairs.same)
    assert sampled.counts[sampled.class_index[same]].min(initial=2) > 1


@few_examples
@given(sizes=class_sizes(), config=SETTINGS)
def test_oversample_gives_each_class_the_rows_of_the_largest_or_all_its_repeats(
    lay_out, sizes, config
):
    sampled = lay_out(sizes, config, "oversample", rounds=1)
    size = config.examples_per_class
    rows = np.bincount(sampled.class_index)
    for class_index, count in enumerate(sizes):
        chunks = min(-(-max(sizes) // size), config.max_repeats * -(-count // size))
        assert rows[class_index] == chunks * min(count, size)


@few_examples
@given(sizes=class_sizes(), config=SETTINGS)
def test_undersample_gives_each_class_the_rows_of_the_smallest(lay_out, sizes, config):
    sampled = lay_out(sizes, config, "undersample", rounds=1)
    rows = np.bincount(sampled.class_index)
    usable = sampled.counts > 1
    assume(usable.any())
    smallest = sampled.counts[usable].min()
    assert np.unique(rows[usable]).size == 1
    assert smallest - config.examples_per_class < rows[usable][0] <= smallest


@pytest.mark.parametrize("sampling", POLICIES[1:])
@few_examples
@given(sizes=class_sizes(), config=SETTINGS)
def test_weights_give_all_classes_the_same_total(lay_out, sampling, sizes, config):
    sampled = lay_out(sizes, config, sampling, rounds=1)
    counted = ~sampled.padding if sampling == "inverse_frequency" else slice(None)
    weight = np.bincount(
        sampled.class_index[counted], sampled.weights[sampled.class_index[counted]]
    )
    if sampling == "inverse_frequency":
        assert weight == pytest.approx(np.full(len(sizes), sum(sizes) / len(sizes)))
    else:
        assert weight == pytest.approx(np.full(len(sizes), weight[np.argmax(sizes)]))


@each_policy
@few_examples
@given(data=st.data(), config=SETTINGS)
def test_pairs_of_complete_chunks_have_the_same_weight_in_every_class(
    lay_out, sampling, data, config
):
    size = config.examples_per_class
    config = config.model_copy(update={"ratio": "1:1"})
    sizes = data.draw(class_sizes(multiple_of=size))
    sampled = lay_out(sizes, config, sampling, rounds=1)
    assume(not sampled.layout.segments.num_unpaired)
    rows = np.bincount(sampled.class_index)
    same, negative = (
        np.bincount(sampled.class_index[list_sides(sampled.pairs, chosen)], minlength=rows.size)
        for chosen in (sampled.pairs.same, ~sampled.pairs.same)
    )
    assert (same == rows * (size - 1)).all()
    chunks_per_round = np.sort(sampled.quotas.chunks_per_round)
    if (
        chunks_per_round[-1] == chunks_per_round[-2]
    ):  # no class remains alone, which would dominate its batches
        assert (np.abs(negative - same) <= rows).all()  # rows differ by at most one pair
    if sampling != "natural":
        weight = same * sampled.weights
        assert weight == pytest.approx(np.full(rows.size, weight[0]))


@few_examples
@given(data=st.data(), size=st.integers(2, 5), seed=st.integers(0, 99))
def test_padding_costs_a_class_less_than_half_of_its_positive_pairs(lay_out, data, size, seed):
    fewest = 2 * size - 1  # classes per batch, enough for the negative pairs
    sizes = [max(count, size) for count in data.draw(class_sizes(fewest=fewest))]
    config = PairsConfig(
        examples_per_class=size, classes_per_batch=fewest, max_repeats=max(sizes), seed=seed
    )
    sampled = lay_out(sizes, config, "oversample", rounds=1)
    pairs = np.bincount(
        sampled.class_index[sampled.pairs.left[sampled.pairs.same]], minlength=len(sizes)
    )
    most = -(-max(sizes) // size) * math.comb(size, 2)
    assert (pairs <= most).all()
    assert (pairs >= most * (1 / 2 + 1 / size) - 1e-9).all()


@each_policy
@few_examples
@given(sizes=class_sizes(), config=SETTINGS)
def test_negative_pairs_are_spread_evenly_over_the_rows_of_a_batch(
    lay_out, sampling, sizes, config
):
    sampled = lay_out(sizes, config, sampling, rounds=1)
    number = sampled.layout.num_batches
    not_padding = ~sampled.padding
    batch, class_index = sampled.batch[not_padding], sampled.class_index[not_padding]
    uses = np.bincount(list_sides(sampled.pairs, ~sampled.pairs.same), minlength=not_padding.size)[
        not_padding
    ]
    rows = np.bincount(batch, minlength=number)
    in_class = np.zeros((number, len(sizes)), int)
    np.add.at(in_class, (batch, class_index), 1)
    largest = in_class.max(axis=1)
    equal = ((in_class == 0) | (in_class == largest[:, None])).all(axis=1)
    clean_capacity = np.maximum((rows - 1) // 2 - largest + 1, 0) * rows  # pairs in clean orbits
    needed = np.bincount(batch, uses, minlength=number) / 2
    most, least = np.zeros(number, int), np.full(number, MOST)
    np.maximum.at(most, batch, uses)
    np.minimum.at(least, batch, uses)
    spread = most - least
    assert spread[equal & (rows % 2 == 0)].max(initial=0) <= 1
    assert spread[equal | (needed <= clean_capacity)].max(initial=0) <= 2


@each_policy
@few_examples
@given(sizes=class_sizes(), config=SETTINGS)
def test_each_positive_pair_has_a_triplet_in_its_batch(lay_out, sampling, sizes, config):
    sampled = lay_out(sizes, config, sampling)
    anchor, positive, negative = (
        getattr(sampled.triplets, side) for side in ("anchor", "positive", "negative")
    )
    same = sampled.pairs.same
    pairs = np.stack([sampled.pairs.left[same], sampled.pairs.right[same]])
    assert np.array_equal(np.sort(np.stack([anchor, positive]), axis=0), np.sort(pairs, axis=0))
    assert (sampled.batch[anchor] == sampled.batch[negative]).all()
    assert (sampled.class_index[anchor] != sampled.class_index[negative]).all()
