import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import POLICIES, SETTINGS

from diptych.components.pair_gen import sample_pairs as sample_pairs_module
from diptych.components.pair_gen.sample_pairs import ShardRows, sample_pairs
from diptych.schemas.config.pairs import PairsConfig


@settings(max_examples=20, deadline=None)
@given(
    classes=st.integers(2, 9),
    per_class=st.integers(1, 4),
    config=SETTINGS,
    sampling=st.sampled_from(POLICIES),
    rounds=st.integers(1, 3),
)
def test_equal_classes_are_in_the_same_number_of_pairs(
    lay_out, classes, per_class, config, sampling, rounds
):
    # All batches are complete only with equal numbers of classes; 1:1 is always possible.
    config = config.model_copy(update={"ratio": "1:1", "classes_per_batch": classes})
    sizes = [per_class * config.examples_per_class] * classes
    sampled = lay_out(sizes, config, sampling, rounds)
    for class_index in (sampled.pairs.same, ~sampled.pairs.same):
        rows = np.concatenate([sampled.pairs.left[class_index], sampled.pairs.right[class_index]])
        uses = np.bincount(rows, minlength=sampled.batch.size)
        assert (uses == config.examples_per_class - 1).all()


def test_many_equal_classes_in_small_batches(lay_out):
    sampled = lay_out([12] * 16, PairsConfig(classes_per_batch=4), "natural", rounds=5)
    rows = np.concatenate([sampled.pairs.left, sampled.pairs.right])
    per_class = np.bincount(sampled.class_index[rows])
    assert per_class.tolist() == [5 * 12 * 6] * 16


def test_surplus_positive_pairs_are_dropped_evenly_over_classes(lay_out):
    sampled = lay_out([6, 6, 6], PairsConfig(ratio="1:4", examples_per_class=6), rounds=1)
    # 45 positive and 108 negative pairs are eligible. 27 and 108 are sampled, 9 positive per class.
    assert np.bincount(sampled.class_index[sampled.pairs.left[sampled.pairs.same]]).tolist() == [
        9,
        9,
        9,
    ]
    assert (~sampled.pairs.same).sum() == 108


def test_sides_and_anchors_are_fair_coins(lay_out):
    sampled = lay_out([40] * 20, PairsConfig(), rounds=2)
    for first, second in (
        (sampled.pairs.left, sampled.pairs.right),
        (sampled.triplets.anchor, sampled.triplets.positive),
    ):
        assert 0.45 < (first < second).mean() < 0.55


def test_negatives_are_sampled_uniformly_from_a_batch(lay_out):
    sampled = lay_out([4] * 4, PairsConfig(classes_per_batch=4), rounds=300)
    class_counts = np.bincount(sampled.class_index[sampled.triplets.negative])
    assert class_counts.min() > 0.9 * class_counts.mean()


def test_rows_with_the_same_id_are_never_a_positive_pair():
    ids = np.array([[1, 1], [1, 1], [2, 2], [3, 3], [4, 4]], np.uint64)
    class_index = np.array([0, 0, 0, 1, 1])
    nothing = np.zeros(5, np.int64)
    pairs, _ = sample_pairs(
        ShardRows(nothing, class_index, nothing, nothing.astype(bool), ids), (1, 1), seed=0
    )
    assert pairs.same.sum() == 3
    for left, right in zip(pairs.left.tolist(), pairs.right.tolist(), strict=True):
        assert {left, right} != {0, 1}


def test_the_pairs_of_a_batch_do_not_depend_on_other_batches(lay_out, monkeypatch):
    sampled = lay_out([9, 14, 3, 30, 1, 7], PairsConfig(classes_per_batch=3))
    monkeypatch.setattr(sample_pairs_module, "_ROWS_PER_BLOCK", 1)
    pairs, triplets = sample_pairs(sampled.rows, sampled.ratio, 0)
    assert np.array_equal(pairs.left, sampled.pairs.left)
    assert np.array_equal(pairs.right, sampled.pairs.right)
    assert np.array_equal(triplets.negative, sampled.triplets.negative)
    half = sampled.batch >= sampled.layout.num_batches // 2
    columns = (sampled.batch, sampled.class_index, sampled.chunk, sampled.padding, sampled.rows.ids)
    alone, _ = sample_pairs(ShardRows(*(column[half] for column in columns)), sampled.ratio, 0)
    kept = half[pairs.left]
    assert np.array_equal(alone.left + np.argmax(half), pairs.left[kept])
