import collections
import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen import draw as drawing
from diptych.components.pair_gen.draw import Rows, draw
from diptych.schemas.config import Pairs

POLICIES = ["natural", "inverse_frequency", "oversample", "undersample"]
SIZES = st.one_of(
    st.lists(st.integers(1, 30), min_size=2, max_size=16),
    st.integers(2, 16).map(lambda count: [max(50 // place, 1) for place in range(1, count + 1)]),
    st.tuples(st.integers(2, 12), st.integers(2, 15)).map(lambda pair: [pair[1]] * pair[0]),
).filter(lambda sizes: max(sizes) >= 2)
SETTINGS = st.builds(
    Pairs,
    classes_per_batch=st.integers(2, 6),
    examples_per_class=st.integers(2, 5),
    ratio=st.sampled_from(["1:1", "1:3", "2:1", "3:2", "1:12"]),
    max_repeats=st.integers(1, 5),
    seed=st.integers(0, 2**32),
)
some = settings(max_examples=30, deadline=None)


def eligible(drawn, batch):
    """All same and different pairs of a batch that the rules allow, by plain loops."""
    rows = np.flatnonzero(drawn.batch == batch).tolist()
    same, different = set(), set()
    for first, second in itertools.combinations(rows, 2):
        alike = drawn.kind[first] == drawn.kind[second]
        together = alike and drawn.chunk[first] == drawn.chunk[second]
        if together and not (drawn.fill[first] and drawn.fill[second]):
            same.add((first, second))
        if not alike and not drawn.fill[first] and not drawn.fill[second]:
            different.add((first, second))
    return same, different


@some
@given(sizes=SIZES, config=SETTINGS, policy=st.sampled_from(POLICIES))
def test_each_batch_has_the_exact_ratio_and_all_the_pairs_it_can(lay_out, sizes, config, policy):
    drawn = lay_out(sizes, config, policy, rounds=1)
    found = collections.defaultdict(lambda: (set(), set()))
    for left, right, same in zip(
        drawn.pairs.left.tolist(), drawn.pairs.right.tolist(), drawn.pairs.same, strict=True
    ):
        pair = (min(left, right), max(left, right))
        group = found[int(drawn.batch[left])][0 if same else 1]
        assert pair not in group
        group.add(pair)
    for batch in range(drawn.layout.num_batches):
        same, different = eligible(drawn, batch)
        times = min(len(same) // drawn.ratio[0], len(different) // drawn.ratio[1])
        assert found[batch][0] <= same
        assert found[batch][1] <= different
        assert len(found[batch][0]) == times * drawn.ratio[0]
        assert len(found[batch][1]) == times * drawn.ratio[1]


@some
@given(sizes=SIZES, config=SETTINGS, policy=st.sampled_from(POLICIES))
def test_no_self_pair_and_no_pair_twice_in_a_pass(lay_out, sizes, config, policy):
    drawn = lay_out(sizes, config, policy, rounds=2)
    amounts = drawn.amounts
    absolute = drawn.chunk + drawn.round * amounts.advance[drawn.kind]
    number = absolute // amounts.per_pass[drawn.kind]  # of the pass
    seen = set()
    for left, right in zip(drawn.pairs.left.tolist(), drawn.pairs.right.tolist(), strict=True):
        assert drawn.example[left] != drawn.example[right]
        pair = frozenset((int(drawn.example[row]), int(number[row])) for row in (left, right))
        assert pair not in seen
        seen.add(pair)


@some
@given(
    classes=st.integers(2, 9),
    per_class=st.integers(1, 4),
    config=SETTINGS,
    policy=st.sampled_from(POLICIES),
    rounds=st.integers(1, 3),
)
def test_equal_classes_are_in_equally_many_pairs(
    lay_out, classes, per_class, config, policy, rounds
):
    # Batches are full only where their number of classes is the same; 1:1 fits into any.
    config = config.model_copy(update={"ratio": "1:1", "classes_per_batch": classes})
    sizes = [per_class * config.examples_per_class] * classes
    drawn = lay_out(sizes, config, policy, rounds)
    for kind in (drawn.pairs.same, ~drawn.pairs.same):
        rows = np.concatenate([drawn.pairs.left[kind], drawn.pairs.right[kind]])
        uses = np.bincount(rows, minlength=drawn.batch.size)
        assert (uses == config.examples_per_class - 1).all()


def test_many_equal_classes_in_batches_of_some(lay_out):
    drawn = lay_out([12] * 16, Pairs(classes_per_batch=4), "natural", rounds=5)
    rows = np.concatenate([drawn.pairs.left, drawn.pairs.right])
    per_class = np.bincount(drawn.kind[rows])
    assert per_class.tolist() == [5 * 12 * 6] * 16


@some
@given(sizes=SIZES, config=SETTINGS)
def test_different_pairs_are_spread_over_the_rows_where_orbits_suffice(lay_out, sizes, config):
    config = config.model_copy(update={"ratio": "1:1", "classes_per_batch": 6})
    drawn = lay_out(sizes, config, "natural", rounds=1)
    different = ~drawn.pairs.same
    rows = np.concatenate([drawn.pairs.left[different], drawn.pairs.right[different]])
    uses = np.bincount(rows, minlength=drawn.batch.size)
    for batch in range(drawn.layout.num_batches):
        here = (drawn.batch == batch) & ~drawn.fill
        largest = np.bincount(drawn.kind[here]).max()
        needed = int(uses[here].sum()) // 2
        if needed <= ((here.sum() - 1) // 2 - largest + 1) * here.sum():
            assert uses[here].max() - uses[here].min() <= 2


@some
@given(sizes=SIZES, config=SETTINGS)
def test_triplets_are_a_same_pair_and_a_row_of_another_class(lay_out, sizes, config):
    drawn = lay_out(sizes, config, "oversample", rounds=1)
    same = drawn.pairs.same
    pairs = zip(drawn.pairs.left[same].tolist(), drawn.pairs.right[same].tolist(), strict=True)
    anchor, positive = drawn.triplets.anchor, drawn.triplets.positive
    sides = zip(anchor.tolist(), positive.tolist(), strict=True)
    assert [frozenset(pair) for pair in pairs] == [frozenset(side) for side in sides]
    negative = drawn.triplets.negative
    assert (drawn.batch[anchor] == drawn.batch[negative]).all()
    assert (drawn.kind[anchor] != drawn.kind[negative]).all()


def test_surplus_same_pairs_are_dropped_evenly_over_classes(lay_out):
    drawn = lay_out([6, 6, 6], Pairs(ratio="1:4", examples_per_class=6), rounds=1)
    # 45 same and 108 different ones are eligible: 27 and 108 are drawn, 9 same of each class.
    assert np.bincount(drawn.kind[drawn.pairs.left[drawn.pairs.same]]).tolist() == [9, 9, 9]
    assert (~drawn.pairs.same).sum() == 108


def test_sides_and_anchors_are_fair_coins(lay_out):
    drawn = lay_out([40] * 20, Pairs(), rounds=2)
    for first, second in (
        (drawn.pairs.left, drawn.pairs.right),
        (drawn.triplets.anchor, drawn.triplets.positive),
    ):
        assert 0.45 < (first < second).mean() < 0.55


def test_every_negative_of_a_batch_is_about_as_likely(lay_out):
    drawn = lay_out([4] * 4, Pairs(classes_per_batch=4), rounds=300)
    kinds = np.bincount(drawn.kind[drawn.triplets.negative])
    assert kinds.min() > 0.9 * kinds.mean()


def test_rows_with_one_id_are_never_a_same_pair():
    ids = np.array([[1, 1], [1, 1], [2, 2], [3, 3], [4, 4]], np.uint64)
    kind = np.array([0, 0, 0, 1, 1])
    nothing = np.zeros(5, np.int64)
    pairs, _ = draw(Rows(nothing, kind, nothing, nothing.astype(bool), ids), (1, 1), seed=0)
    assert pairs.same.sum() == 3
    for left, right in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True):
        assert {left, right} != {0, 1}


def test_a_batch_draws_the_same_wherever_it_lies(lay_out, monkeypatch):
    drawn = lay_out([9, 14, 3, 30, 1, 7], Pairs(classes_per_batch=3))
    monkeypatch.setattr(drawing, "_ROWS_AT_ONCE", 1)
    pairs, triplets = draw(drawn.rows, drawn.ratio, 0)
    assert np.array_equal(pairs.left, drawn.pairs.left)
    assert np.array_equal(pairs.right, drawn.pairs.right)
    assert np.array_equal(triplets.negative, drawn.triplets.negative)
    half = drawn.batch >= drawn.layout.num_batches // 2
    columns = (drawn.batch, drawn.kind, drawn.chunk, drawn.fill, drawn.rows.ids)
    alone, _ = draw(Rows(*(column[half] for column in columns)), drawn.ratio, 0)
    kept = half[pairs.left]
    assert np.array_equal(alone.left + np.argmax(half), pairs.left[kept])


def test_drawn_order_is_frozen(lay_out):  # golden: a new value draws every data set anew
    drawn = lay_out([5, 3, 2], Pairs(classes_per_batch=2, examples_per_class=2), rounds=1)
    assert drawn.example.tolist() == [2, 4, 7, 5, 3, 1, 0, 3, 5, 6, 8, 9]
    pairs = [drawn.pairs.left.tolist(), drawn.pairs.right.tolist()]
    assert pairs == [
        [0, 0, 2, 3, 5, 6, 7, 8, 8, 9, 11, 11],
        [1, 2, 1, 2, 4, 10, 6, 9, 10, 4, 6, 10],
    ]
    assert drawn.triplets.negative.tolist() == [3, 0, 9, 11, 11, 9]
