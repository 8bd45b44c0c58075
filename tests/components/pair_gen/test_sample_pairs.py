import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import POLICIES, SETTINGS

from diptych.components.pair_gen import sample_pairs as drawing
from diptych.components.pair_gen.sample_pairs import Rows, draw
from diptych.schemas.config.pairs import Pairs


@settings(max_examples=20, deadline=None)
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
