import collections

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen.balance import (
    by_range,
    check_pairs,
    count_covered,
    make_balance,
    sum_uses,
    use_of,
)
from diptych.components.pair_gen.plan import make_plan
from diptych.components.pair_gen.shard import Tables
from diptych.schemas.balance import SplitBalance, Spread
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column, Inputs
from diptych.schemas.shards import PAIRS

VECTOR = Inputs(kind="vector", columns=(Column(name="a"),))


def tables(pairs, kinds, repeats):
    drawn = [dict(zip(PAIRS.names, (0, *pair), strict=True)) for pair in pairs]
    return Tables(
        examples=None,
        pairs=pa.Table.from_pylist(drawn, schema=PAIRS),
        triplets=None,
        num_batches=1,
        kinds=np.array(kinds, np.int64),
        covered=np.array([], np.int64),
        repeats=repeats,
    )


# left, right, same, weight. Rows 0 and 1 are of class 4, rows 2 and 3 of class 1, row 4 of class 9.
FIRST = tables([(0, 1, 1, 0.5), (1, 2, 0, 2.0), (3, 0, 0, 0.25)], [4, 4, 1, 1, 9], repeats=2)
SECOND = tables([(0, 1, 1, 1.5)], [1, 1], repeats=5)
NOTHING = tables([], [], repeats=0)


def test_a_same_pair_counts_once_for_its_class_and_a_different_one_for_both():
    use = use_of(FIRST, {"shard": 7})
    assert use.stats == ({"shard": 7},)
    assert [part.tolist() for part in use.pairs] == [[1, 4], [2, 3]]
    assert [part.tolist() for part in use.weights] == [[1, 4], [9 * 2**18, 11 * 2**18]]


def test_shards_add_up_in_any_order_and_those_without_pairs_to_nothing():
    uses = [use_of(part, {"shard": shard}) for shard, part in enumerate((FIRST, NOTHING, SECOND))]
    for some in (uses, uses[::-1], [uses[1], sum_uses(uses[::2])]):
        total = sum_uses(some)
        assert [part.tolist() for part in total.pairs] == [[1, 4], [3, 3]]
        assert [part.tolist() for part in total.weights] == [[1, 4], [15 * 2**18, 11 * 2**18]]
        assert total.repeats == 5
        assert sorted(stats["shard"] for stats in total.stats) == [0, 1, 2]


def test_the_report_by_hand():
    keys, counts = np.arange(10, dtype=np.uint64), np.array([1, 6, 2, 2, 5, 2, 2, 2, 1, 1])
    config = Pairs(policy="natural", rounds=3)
    plan = make_plan("train", keys, counts, config, VECTOR)
    stats = [
        {"num_same": 1, "num_different": 2, "num_placed": 30},
        {"num_same": 1, "num_different": 1, "num_placed": 42},
    ]
    uses = sum_uses(use_of(*part) for part in zip((FIRST, SECOND), stats, strict=True))
    report = make_balance(plan, uses, num_examples=24, num_covered=6)
    assert (report.split, report.policy, report.rounds) == ("train", "natural", 3)
    assert (report.num_same, report.num_different, report.different_per_same) == (2, 3, 1.5)
    assert (report.repeats_mean, report.repeats_max) == (72 / (3 * 24), 5)
    assert (report.coverage, report.num_uncovered) == (0.25, 18)
    assert (report.num_examples, report.num_given_pairs) == (24, None)
    assert (report.classes.num_classes, report.classes.num_singletons) == (10, 3)
    assert report.classes.num_uncovered == 8
    assert report.classes.examples == Spread(min=1, median=2, max=6)
    assert report.classes.pairs == Spread(min=0, median=0, max=3)
    assert report.classes.weight == Spread(min=0, median=0, max=3.75)


@pytest.mark.parametrize("drawn", [(0, 4), (4, 0), (0, 0)])
def test_a_split_without_pairs_says_what_to_do(drawn):
    keys, counts = np.arange(2, dtype=np.uint64), np.array([2, 2])
    config = Pairs(ratio="20:1")
    plan = make_plan("calibration", keys, counts, config, VECTOR)
    use = use_of(NOTHING, {"num_same": drawn[0], "num_different": drawn[1], "num_placed": 4})
    report = make_balance(plan, use, num_examples=4, num_covered=0)
    with pytest.raises(DataError, match=r"calibration split gives no pairs: .*20:1.*pairs\.ratio"):
        check_pairs(report, config)


def test_a_report_is_read_as_it_was_written(tmp_path):
    plan = make_plan("test", np.arange(3, dtype=np.uint64), np.array([3, 2, 2]), Pairs(), VECTOR)
    drawn = tables([(0, 1, 1, 0.1), (1, 2, 0, 0.7)], [0, 0, 2], repeats=1)
    use = use_of(drawn, {"num_same": 1, "num_different": 1, "num_placed": 7})
    report = make_balance(plan, use, num_examples=7, num_covered=7)
    assert report.notes
    report.write(tmp_path / "balance")
    assert SplitBalance.read(tmp_path / "balance", "test") == report
    assert [path.name for path in (tmp_path / "balance").iterdir()] == ["test.json"]


@settings(max_examples=30, deadline=None)
@given(
    shards=st.lists(st.sets(st.integers(0, 5 * 2**20), max_size=30), max_size=4),
    edges=st.sets(st.sampled_from([0, 2**20 - 1, 2**20, 3 * 2**20])),
)
def test_examples_are_counted_once_whatever_shards_they_are_in(shards, edges):
    groups = collections.defaultdict(list)
    for shard in [*shards, edges, edges]:
        for number, inside in by_range(np.array(sorted(shard), np.int64)):
            assert inside.dtype == np.uint32
            groups[number].append(inside)
    assert sum(count_covered(group) for group in groups.items()) == len(set().union(edges, *shards))
