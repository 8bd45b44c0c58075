"""What PairGen promises, on up to hundreds of classes of up to thousands of examples."""

import functools
import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from strategies import MOST, POLICIES, SETTINGS, class_sizes

from diptych.schemas.config.pairs import Pairs

some = settings(max_examples=6, deadline=None)
each_policy = pytest.mark.parametrize("policy", POLICIES)


@pytest.fixture(scope="module", params=[False, True], ids=["random", "in_line"])
def lay_out(lay_out, request):
    return functools.partial(lay_out, in_line=request.param)


def sides(pairs, chosen):
    return np.concatenate([pairs.left[chosen], pairs.right[chosen]])


@each_policy
@some
@given(sizes=class_sizes(), config=SETTINGS)
def test_every_batch_has_the_exact_ratio_and_pairs_of_its_own(lay_out, policy, sizes, config):
    drawn = lay_out(sizes, config, policy)
    left, right, same = drawn.pairs.left, drawn.pairs.right, drawn.pairs.same
    number = drawn.layout.num_batches
    alike = np.bincount(drawn.batch[left[same]], minlength=number)
    apart = np.bincount(drawn.batch[left[~same]], minlength=number)
    assert (alike * drawn.ratio[1] == apart * drawn.ratio[0]).all()
    assert (drawn.batch[left] == drawn.batch[right]).all()
    assert ((drawn.kind[left] == drawn.kind[right]) == same).all()


@each_policy
@some
@given(sizes=class_sizes(fewest=1), config=SETTINGS)
def test_no_example_is_paired_with_itself_and_no_pair_comes_twice_in_a_pass(
    lay_out, policy, sizes, config
):
    drawn = lay_out(sizes, config, policy)
    left, right = drawn.pairs.left, drawn.pairs.right
    assert (drawn.example[left] != drawn.example[right]).all()
    first = drawn.round * drawn.amounts.advance[drawn.kind] + drawn.chunk
    turn = first // drawn.amounts.per_pass[drawn.kind]
    # An example in a pass of its class is one number; two passes of one example are two.
    entry = drawn.example * (turn.max(initial=0) + 1) + turn
    pairs = np.sort(np.stack([entry[left], entry[right]]), axis=0)
    assert np.unique(pairs, axis=1).shape[1] == left.size


@pytest.mark.parametrize("policy", POLICIES[:3])
@some
@given(sizes=class_sizes(fewest=1), config=SETTINGS)
def test_every_round_uses_every_example(lay_out, policy, sizes, config):
    drawn = lay_out(sizes, config, policy)
    fresh = ~drawn.fill
    uses = np.zeros((2, sum(sizes)), int)
    np.add.at(uses, (drawn.round[fresh], drawn.example[fresh]), 1)
    assert uses.min() >= 1
    assert uses.max() <= (config.max_repeats if policy == "oversample" else 1)


@settings(max_examples=4, deadline=None)
@given(sizes=class_sizes(), config=SETTINGS)
def test_the_rounds_of_undersample_go_through_all_examples(lay_out, sizes, config):
    rounds = int(np.max(-(-np.array(sizes) // config.examples_per_class)))
    smallest = min([size for size in sizes if size > 1], default=1)
    assume(min(smallest, 99) * rounds * len(sizes) < 5 * MOST)
    if 1 < smallest < config.examples_per_class:
        rounds = -(-max(sizes) // smallest)
    rounds = -(-rounds // max(smallest // config.examples_per_class, 1))
    drawn = lay_out(sizes, config, "undersample", rounds)
    assert np.unique(drawn.example).size == sum(sizes)


@each_policy
@some
@given(sizes=class_sizes(), config=SETTINGS)
def test_classes_of_one_example_are_in_different_pairs_only(lay_out, policy, sizes, config):
    drawn = lay_out([*sizes, 1, 1], config, policy)
    same = sides(drawn.pairs, drawn.pairs.same)
    assert drawn.counts[drawn.kind[same]].min(initial=2) > 1


@some
@given(sizes=class_sizes(), config=SETTINGS)
def test_oversample_gives_each_class_the_rows_of_the_largest_or_all_its_repeats(
    lay_out, sizes, config
):
    drawn = lay_out(sizes, config, "oversample", rounds=1)
    size = config.examples_per_class
    rows = np.bincount(drawn.kind)
    for kind, count in enumerate(sizes):
        chunks = min(-(-max(sizes) // size), config.max_repeats * -(-count // size))
        assert rows[kind] == chunks * min(count, size)


@some
@given(sizes=class_sizes(), config=SETTINGS)
def test_undersample_gives_each_class_the_rows_of_the_smallest(lay_out, sizes, config):
    drawn = lay_out(sizes, config, "undersample", rounds=1)
    rows = np.bincount(drawn.kind)
    usable = drawn.counts > 1
    assume(usable.any())
    smallest = drawn.counts[usable].min()
    assert np.unique(rows[usable]).size == 1
    assert smallest - config.examples_per_class < rows[usable][0] <= smallest


@pytest.mark.parametrize("policy", POLICIES[1:])
@some
@given(sizes=class_sizes(), config=SETTINGS)
def test_weights_make_all_classes_weigh_the_same(lay_out, policy, sizes, config):
    drawn = lay_out(sizes, config, policy, rounds=1)
    counted = ~drawn.fill if policy == "inverse_frequency" else slice(None)
    weight = np.bincount(drawn.kind[counted], drawn.weights[drawn.kind[counted]])
    if policy == "inverse_frequency":
        assert weight == pytest.approx(np.full(len(sizes), sum(sizes) / len(sizes)))
    else:
        assert weight == pytest.approx(np.full(len(sizes), weight[np.argmax(sizes)]))


@each_policy
@some
@given(data=st.data(), config=SETTINGS)
def test_pairs_of_whole_chunks_weigh_the_same_in_every_class(lay_out, policy, data, config):
    size = config.examples_per_class
    config = config.model_copy(update={"ratio": "1:1"})
    sizes = data.draw(class_sizes(multiple_of=size))
    drawn = lay_out(sizes, config, policy, rounds=1)
    assume(not drawn.layout.segments.unpaired)
    rows = np.bincount(drawn.kind)
    same, apart = (
        np.bincount(drawn.kind[sides(drawn.pairs, chosen)], minlength=rows.size)
        for chosen in (drawn.pairs.same, ~drawn.pairs.same)
    )
    assert (same == rows * (size - 1)).all()
    per_round = np.sort(drawn.amounts.per_round)
    if per_round[-1] == per_round[-2]:  # no class left alone, to weigh more in a batch than others
        assert (np.abs(apart - same) <= rows).all()  # a row is in one more or one less at most
    if policy != "natural":
        weight = same * drawn.weights
        assert weight == pytest.approx(np.full(rows.size, weight[0]))


@some
@given(data=st.data(), size=st.integers(2, 5), seed=st.integers(0, 99))
def test_fills_cost_a_class_less_than_half_of_its_same_pairs(lay_out, data, size, seed):
    fewest = 2 * size - 1  # classes a batch, so that no batch lacks different pairs
    sizes = [max(count, size) for count in data.draw(class_sizes(fewest=fewest))]
    config = Pairs(
        examples_per_class=size, classes_per_batch=fewest, max_repeats=max(sizes), seed=seed
    )
    drawn = lay_out(sizes, config, "oversample", rounds=1)
    pairs = np.bincount(drawn.kind[drawn.pairs.left[drawn.pairs.same]], minlength=len(sizes))
    most = -(-max(sizes) // size) * math.comb(size, 2)
    assert (pairs <= most).all()
    assert (pairs >= most * (1 / 2 + 1 / size) - 1e-9).all()


@each_policy
@some
@given(sizes=class_sizes(), config=SETTINGS)
def test_different_pairs_are_spread_evenly_over_the_rows_of_a_batch(lay_out, policy, sizes, config):
    drawn = lay_out(sizes, config, policy, rounds=1)
    number = drawn.layout.num_batches
    fresh = ~drawn.fill
    batch, kind = drawn.batch[fresh], drawn.kind[fresh]
    uses = np.bincount(sides(drawn.pairs, ~drawn.pairs.same), minlength=fresh.size)[fresh]
    rows = np.bincount(batch, minlength=number)
    in_class = np.zeros((number, len(sizes)), int)
    np.add.at(in_class, (batch, kind), 1)
    largest = in_class.max(axis=1)
    equal = ((in_class == 0) | (in_class == largest[:, None])).all(axis=1)
    room = np.maximum((rows - 1) // 2 - largest + 1, 0) * rows  # of the clean orbits
    needed = np.bincount(batch, uses, minlength=number) / 2
    most, least = np.zeros(number, int), np.full(number, MOST)
    np.maximum.at(most, batch, uses)
    np.minimum.at(least, batch, uses)
    spread = most - least
    assert spread[equal & (rows % 2 == 0)].max(initial=0) <= 1
    assert spread[equal | (needed <= room)].max(initial=0) <= 2


@each_policy
@some
@given(sizes=class_sizes(), config=SETTINGS)
def test_each_same_pair_gives_a_triplet_of_its_batch(lay_out, policy, sizes, config):
    drawn = lay_out(sizes, config, policy)
    anchor, positive, negative = (
        getattr(drawn.triplets, side) for side in ("anchor", "positive", "negative")
    )
    same = drawn.pairs.same
    pairs = np.stack([drawn.pairs.left[same], drawn.pairs.right[same]])
    assert np.array_equal(np.sort(np.stack([anchor, positive]), axis=0), np.sort(pairs, axis=0))
    assert (drawn.batch[anchor] == drawn.batch[negative]).all()
    assert (drawn.kind[anchor] != drawn.kind[negative]).all()
