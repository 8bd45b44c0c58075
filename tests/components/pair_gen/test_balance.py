import collections

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen.balance import (
    check_pair_counts,
    compute_shard_stats,
    count_unique_in_range,
    make_balance,
    split_by_range,
    sum_shard_stats,
)
from diptych.components.pair_gen.plan import make_plan
from diptych.components.pair_gen.shard import ShardTables
from diptych.schemas.balance import SplitBalance, Spread
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.shards import PAIRS_SCHEMA

VECTOR = InputSpec(kind="vector", columns=(Column(name="a"),))


def make_tables(pairs, class_index, repeats):
    sampled = [dict(zip(PAIRS_SCHEMA.names, (0, *pair), strict=True)) for pair in pairs]
    return ShardTables(
        examples=None,
        pairs=pa.Table.from_pylist(sampled, schema=PAIRS_SCHEMA),
        triplets=None,
        num_batches=1,
        class_index=np.array(class_index, np.int64),
        covered=np.array([], np.int64),
        repeats=repeats,
    )


# left, right, same, weight. Rows 0 and 1 are of class 4, rows 2 and 3 of class 1, row 4 of class 9.
FIRST = make_tables([(0, 1, 1, 0.5), (1, 2, 0, 2.0), (3, 0, 0, 0.25)], [4, 4, 1, 1, 9], repeats=2)
SECOND = make_tables([(0, 1, 1, 1.5)], [1, 1], repeats=5)
NO_PAIRS = make_tables([], [], repeats=0)


def test_a_positive_pair_counts_once_for_its_class_and_a_negative_pair_for_both():
    stats = compute_shard_stats(FIRST, {"shard": 7})
    assert stats.manifest_counts == ({"shard": 7},)
    assert [part.tolist() for part in stats.pairs_per_class] == [[1, 4], [2, 3]]
    assert [part.tolist() for part in stats.weight_per_class] == [[1, 4], [9 * 2**18, 11 * 2**18]]


def test_shard_stats_add_up_in_any_order_and_those_without_pairs_are_zero():
    shards = [
        compute_shard_stats(part, {"shard": shard})
        for shard, part in enumerate((FIRST, NO_PAIRS, SECOND))
    ]
    for parts in (shards, shards[::-1], [shards[1], sum_shard_stats(shards[::2])]):
        total = sum_shard_stats(parts)
        assert [part.tolist() for part in total.pairs_per_class] == [[1, 4], [3, 3]]
        assert [part.tolist() for part in total.weight_per_class] == [
            [1, 4],
            [15 * 2**18, 11 * 2**18],
        ]
        assert total.max_repeats == 5
        assert sorted(stats["shard"] for stats in total.manifest_counts) == [0, 1, 2]


def test_a_report_by_hand():
    keys, counts = np.arange(10, dtype=np.uint64), np.array([1, 6, 2, 2, 5, 2, 2, 2, 1, 1])
    config = PairsConfig(sampling="natural", rounds=3)
    plan = make_plan("train", keys, counts, config, VECTOR)
    stats = [
        {"num_positive": 1, "num_negative": 2, "num_rows": 30},
        {"num_positive": 1, "num_negative": 1, "num_rows": 42},
    ]
    shards = sum_shard_stats(
        compute_shard_stats(*part) for part in zip((FIRST, SECOND), stats, strict=True)
    )
    report = make_balance(plan, shards, num_examples=24, num_covered=6)
    assert (report.split, report.sampling, report.rounds) == ("train", "natural", 3)
    assert (report.num_positive, report.num_negative, report.negatives_per_positive) == (2, 3, 1.5)
    assert report.num_distinct_positive == 15 + 10 + 5 * 1
    assert (report.repeats_mean, report.repeats_max) == (72 / (3 * 24), 5)
    assert (report.coverage, report.num_uncovered) == (0.25, 18)
    assert (report.num_examples, report.num_given_pairs) == (24, None)
    assert (report.classes.num_classes, report.classes.num_singletons) == (10, 3)
    assert report.classes.num_uncovered == 8
    assert report.classes.examples == Spread(min=1, median=2, max=6)
    assert report.classes.pairs == Spread(min=0, median=0, max=3)
    assert report.classes.weight == Spread(min=0, median=0, max=3.75)


@pytest.mark.parametrize("sampled", [(0, 4), (4, 0), (0, 0)])
def test_a_split_without_pairs_raises_a_helpful_error(sampled):
    keys, counts = np.arange(2, dtype=np.uint64), np.array([2, 2])
    config = PairsConfig(ratio="20:1")
    plan = make_plan("calibration", keys, counts, config, VECTOR)
    stats = compute_shard_stats(
        NO_PAIRS, {"num_positive": sampled[0], "num_negative": sampled[1], "num_rows": 4}
    )
    report = make_balance(plan, stats, num_examples=4, num_covered=0)
    with pytest.raises(DataError, match=r"calibration split has no pairs: .*20:1.*pairs\.ratio"):
        check_pair_counts(report, config)


def test_a_report_survives_a_round_trip(tmp_path):
    plan = make_plan(
        "test", np.arange(3, dtype=np.uint64), np.array([3, 2, 2]), PairsConfig(), VECTOR
    )
    sampled = make_tables([(0, 1, 1, 0.1), (1, 2, 0, 0.7)], [0, 0, 2], repeats=1)
    stats = compute_shard_stats(sampled, {"num_positive": 1, "num_negative": 1, "num_rows": 7})
    report = make_balance(plan, stats, num_examples=7, num_covered=7)
    assert report.notes
    report.write(tmp_path / "balance")
    assert SplitBalance.read(tmp_path / "balance", "test") == report
    assert [path.name for path in (tmp_path / "balance").iterdir()] == ["test.json"]


@settings(max_examples=30, deadline=None)
@given(
    shards=st.lists(st.sets(st.integers(0, 5 * 2**20), max_size=30), max_size=4),
    edges=st.sets(st.sampled_from([0, 2**20 - 1, 2**20, 3 * 2**20])),
)
def test_examples_in_several_shards_are_counted_once(shards, edges):
    groups = collections.defaultdict(list)
    for shard in [*shards, edges, edges]:
        for number, inside in split_by_range(np.array(sorted(shard), np.int64)):
            assert inside.dtype == np.uint32
            groups[number].append(inside)
    assert sum(count_unique_in_range(group) for group in groups.items()) == len(
        set().union(edges, *shards)
    )
