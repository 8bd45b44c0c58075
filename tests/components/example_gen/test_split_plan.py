import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from split_plans import plan_pairs, plan_vectors

from diptych.components.example_gen.fingerprints import grid_steps
from diptych.components.example_gen.records import row_keys
from diptych.components.example_gen.split_by_time import split_by_time
from diptych.components.example_gen.split_plan import SplitChanges
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DataError

# Each number stands for one vector; equal numbers are duplicates.
CONTENTS = st.lists(st.integers(0, 30), min_size=1, max_size=60)
GRID = np.full(6, 0.01)


def vector(number, noise=0.0):
    return np.random.default_rng(number).normal(size=6) + noise


def examples(contents, prefix="r"):
    return [
        {"source": f"{prefix}{row:03}", "vector": vector(number), "label": "a"}
        for row, number in enumerate(contents)
    ]


def by_content(contents, planned, prefix="r"):
    groups = {}
    for row, number in enumerate(contents):
        groups.setdefault(number, set()).add(planned.splits[f"{prefix}{row:03}"])
    return groups


def with_keys(rows):
    """Give each row its own key, so that duplicates are assigned separately at first."""
    return [{**row, "key": row["source"]} for row in rows]


def test_keys_of_different_batches_are_disjoint():
    keys = np.concatenate([row_keys(f"{number} item", 500) for number in range(200)])
    assert len(np.unique(keys)) == 100_000


def test_changes_replace_the_splits_of_their_keys_only():
    changes = SplitChanges(np.array([4, 9], np.uint64), np.array([2, 0], np.uint8))
    keys = np.array([9, 1, 4, 12], np.uint64)
    splits = changes.apply(keys, np.array([1, 1, 1, 1], np.uint8))
    assert splits.tolist() == [0, 1, 2, 1]
    assert SplitChanges.from_bytes(changes.to_bytes()).apply(keys, splits).tolist() == [0, 1, 2, 1]


@settings(deadline=None)
@given(CONTENTS, st.integers(0, 20))
def test_no_group_of_duplicates_is_in_two_splits(contents, seed):
    rows = with_keys(examples(contents))
    planned = plan_vectors(rows, SplitConfig(seed=seed), steps=GRID)
    assert all(len(splits) == 1 for splits in by_content(contents, planned).values())
    assert planned.report.num_leaked == 0
    assert sum(planned.report.num_examples) == len(contents)


@settings(deadline=None)
@given(CONTENTS, st.integers(0, 20))
def test_separate_duplicates_keep_their_split_and_leaks_are_counted(contents, seed):
    rows = with_keys(examples(contents))
    separate = SplitConfig(seed=seed, duplicates="separate")
    planned = plan_vectors(rows, separate, steps=GRID)
    expected = plan_vectors(with_keys(examples(range(100, 100 + len(contents)))), separate)
    assert planned.splits == expected.splits  # which have no duplicates and the same keys
    in_training = {
        number for row, number in enumerate(contents) if planned.splits[f"r{row:03}"] == "train"
    }
    leaked = [
        row
        for row, number in enumerate(contents)
        if planned.splits[f"r{row:03}"] == "test" and number in in_training
    ]
    assert planned.report.num_leaked == len(leaked)
    assert planned.report.num_moved == 0


@settings(deadline=None)
@given(CONTENTS, st.randoms(use_true_random=False), st.integers(1, 9))
def test_the_order_and_the_batches_do_not_matter(contents, random, batch_size):
    rows = examples(contents)
    shuffled = random.sample(rows, len(rows))
    first, second = plan_vectors(rows, steps=GRID), plan_vectors(shuffled, None, batch_size, GRID)
    assert first.splits == second.splits
    assert first.report == second.report


@settings(deadline=None)
@given(CONTENTS, st.lists(st.integers(20, 60), max_size=30), st.integers(0, 5))
def test_new_data_move_no_example_without_a_new_duplicate(old, new, seed):
    split = SplitConfig(seed=seed)
    before = plan_vectors(with_keys(examples(old)), split, steps=GRID)
    rows = with_keys(examples(old)) + with_keys(examples(new, "new"))
    after = plan_vectors(rows, split, steps=GRID)
    unaffected = [f"r{row:03}" for row, number in enumerate(old) if number not in new]
    assert [before.splits[name] for name in unaffected] == [
        after.splits[name] for name in unaffected
    ]


def test_vectors_that_are_equal_after_rounding_stay_together():
    rows = examples(range(300)) + [
        {"source": f"x{number:03}", "vector": vector(number, 5e-5), "label": "a"}
        for number in range(300)
    ]
    planned = plan_vectors(rows)
    (counts,) = planned.report.duplicates
    assert counts.kind == "rounded"
    assert counts.groups >= 298
    assert counts.examples == 2 * counts.groups
    assert counts.groups_across_splits == 0
    moved = planned.report.num_moved
    assert 0.4 * 300 < moved < 0.7 * 300  # 56 % of random pairs are in different splits


def test_vectors_of_different_classes_are_not_equal_after_rounding():
    rows = [
        {"source": f"{copy}{number}", "vector": vector(number, 1e-5 * copy), "label": label}
        for number in range(20)
        for copy, label in enumerate("aba")
    ]
    planned = plan_vectors(rows, SplitConfig(duplicates="separate"))
    (counts,) = planned.report.duplicates
    assert (counts.kind, counts.groups, counts.examples) == ("rounded", 20, 40)
    pairs_of_a = [(planned.splits[f"0{n}"], planned.splits[f"2{n}"]) for n in range(20)]
    leaked = sum({first, second} == {"train", "test"} for first, second in pairs_of_a)
    assert planned.report.num_leaked == leaked > 0


def long_tailed_rows():
    rows = np.exp(3 * np.random.default_rng(0).normal(size=(300, 6)))
    return np.concatenate([rows, rows * (1 + 1e-5)])


def rows_with_one_outlier():
    rows = np.random.default_rng(0).normal(size=(300, 6))
    rows[0] = 1e6
    return np.concatenate([rows, rows * (1 + 1e-5)])


@pytest.mark.parametrize("make_rows", [long_tailed_rows, rows_with_one_outlier])
def test_outliers_and_long_tails_do_not_unite_different_vectors(make_rows):
    rows = [
        {"source": f"{number:03}", "vector": values, "label": "a"}
        for number, values in enumerate(make_rows())
    ]
    (counts,) = plan_vectors(rows).report.duplicates
    assert counts.groups > 270
    assert counts.examples == 2 * counts.groups  # each with its copy, and with no other


def test_a_column_that_is_zero_in_the_first_rows_is_compared_exactly():
    values = np.random.default_rng(0).normal(size=(40, 7))
    steps = grid_steps(np.where(np.arange(7) < 6, values, 0).astype(np.float32))
    values[20:, :6] = values[:20, :6]
    values[:, 6] = 1 + np.arange(40) % 2 * 1e-6
    values[20:30, 6] += 1e-3  # not equal after all
    rows = [
        {"source": f"{number:02}", "vector": vector, "label": "a"}
        for number, vector in enumerate(values)
    ]
    (counts,) = plan_vectors(rows, steps=steps).report.duplicates
    assert (counts.groups, counts.examples) == (10, 20)


def test_vectors_of_five_values_are_only_compared_exactly():
    rows = [
        {"source": f"{row}", "vector": [row // 2 + row % 2 * 1e-6, 1, 2, 3, 4], "label": "a"}
        for row in range(20)
    ]
    assert plan_vectors(rows).report.duplicates == ()


def test_the_report_names_groups_and_counts_each_kind():
    rows = examples([1, 1, 1, 2, 2, 3])
    report = plan_vectors(rows, steps=GRID).report
    (counts,) = report.duplicates
    assert (counts.kind, counts.groups, counts.examples) == ("equal", 2, 5)
    assert [group.num_examples for group in report.groups] == [3, 2]
    assert [example.source for example in report.groups[0].examples] == ["r000", "r001", "r002"]


def test_equal_vectors_with_different_labels_are_rejected_and_named():
    rows = examples(range(10))
    rows[3] = {"source": "wrong", "vector": vector(2), "label": "b"}
    planned = plan_vectors(rows)
    assert planned.rejected == {
        "r002": "has the label 'a', but its content has 'b' in wrong",
        "wrong": "has the label 'b', but its content has 'a' in r002",
    }
    assert planned.splits["r002"] == planned.splits["wrong"] == "rejected"
    assert planned.report.num_conflicts == 2
    assert planned.report.duplicates == ()
    counts = planned.outputs.summary.used
    assert (sum(counts.num_examples), counts.num_rejected) == (8, 2)


def failures(planned):
    (counts,) = planned.outputs.summary.spans.values()
    return counts.failures


def test_an_id_of_different_examples_stops_the_run():
    rows = [{**row, "id": f"k{i}".encode()} for i, row in enumerate(examples([1, 2, 3, 1, 2, 4]))]
    rows[3]["id"], rows[5]["id"] = rows[0]["id"], rows[1]["id"]  # equal, and different
    (failure,) = failures(plan_vectors(rows, steps=GRID))
    assert failure.startswith(
        "The column data.id is not unique: 2 different examples have 1 keys, such as r001 and r005"
    )
    rows[5]["id"] = b"k5"
    assert failures(plan_vectors(rows, steps=GRID)) == []


@pytest.mark.parametrize("by", ["time", "connected"])
def test_if_all_examples_are_in_conflict_the_conflicts_are_reported(by):
    split = SplitConfig(by=by)
    if by == "connected":
        planned = plan_pairs(pairs((1, 2, 1), (2, 1, 0)), split, steps=GRID)
    else:
        rows = [{**row, "time": 1, "label": "ab"[i]} for i, row in enumerate(examples([1, 1]))]
        planned = plan_vectors(rows, split, steps=GRID)
    assert failures(planned) == []
    assert planned.report.num_conflicts == 2


def pairs(*items):
    """Given pairs from (left, right, same)."""
    return [
        {"source": f"p{row:03}", "left": vector(left), "right": vector(right), "same": same}
        for row, (left, right, same) in enumerate(items)
    ]


def test_the_same_pair_as_positive_and_negative_is_a_conflict_in_either_order():
    planned = plan_pairs(pairs((1, 2, 1), (3, 4, 0), (2, 1, 0), (5, 6, 1), (6, 5, 1)), steps=GRID)
    assert planned.rejected == {
        "p000": "has the label 'positive', but its content has 'negative' in p002",
        "p002": "has the label 'negative', but its content has 'positive' in p000",
    }
    assert planned.splits["p003"] == planned.splits["p004"]
    (counts,) = planned.report.duplicates
    assert (counts.kind, counts.examples) == ("equal", 2)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(41, 80)), min_size=1, max_size=50),
    st.integers(0, 5),
)
def test_leaks_of_pairs_are_counted_by_example(items, seed):
    rows = pairs(*((left, right, (left + right) % 2) for left, right in items))
    planned = plan_pairs(rows, SplitConfig(seed=seed), steps=GRID)
    splits = [planned.splits[row["source"]] for row in rows]
    in_training = {
        n for pair, split in zip(items, splits, strict=True) if split == "train" for n in pair
    }
    test = [pair for pair, split in zip(items, splits, strict=True) if split == "test"]
    leaked = {n for pair in test for n in pair} & in_training
    assert planned.report.num_leaked == sum(bool(set(pair) & in_training) for pair in test)
    assert len(planned.leaked()) == len(leaked)
    occurs = {n: set() for pair in items for n in pair}
    for pair, split in zip(items, splits, strict=True):
        for n in pair:
            occurs[n].add(split)
    counts = planned.report.pairs
    assert counts.num_examples == len(occurs)
    assert counts.num_shared == sum(len(found) > 1 for found in occurs.values())
    assert counts.num_test_examples == len({n for pair in test for n in pair})


def test_components_are_counted_by_hand():
    # 1-2-3-4 are connected through pairs, 5-6 by a mirrored pair, 7-8 alone.
    planned = plan_pairs(
        pairs((1, 2, 1), (2, 3, 0), (4, 3, 1), (5, 6, 1), (6, 5, 1), (7, 8, 0)), steps=GRID
    )
    counts = planned.report.pairs
    assert (counts.num_components, counts.largest_component) == (3, 3)
    assert counts.num_examples == 8


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 3), st.integers(150, 250))
def test_connected_pairs_share_no_example_between_splits(seed, num_components):
    generator = np.random.default_rng(seed)
    items = []
    for component in range(num_components):
        nodes = range(4 * component, 4 * component + 4)
        for _ in range(generator.integers(1, 6)):
            left, right = generator.choice(nodes, 2, replace=False)
            items.append((int(left), int(right), int(left + right) % 2))
    rows = pairs(*items)
    planned = plan_pairs(rows, SplitConfig(by="connected", seed=seed), 64, GRID)
    assert planned.report.pairs.num_shared == 0
    assert planned.report.num_leaked == 0
    assert min(planned.report.num_examples) > 0


def failure(planned):
    (text,) = planned.outputs.summary.spans[""].failures
    return text


def test_one_large_component_is_an_error_that_states_its_size_and_what_to_do():
    rows = pairs(*((n, n + 1, n % 2) for n in range(50)))
    text = failure(plan_pairs(rows, SplitConfig(by="connected"), steps=GRID))
    assert "form one connected component, and the largest has 50 of 50 pairs (100.0%)" in text
    assert "data.group" in text
    assert "split.by to example" in text


def test_components_that_another_seed_divides_name_the_seed():
    rows = pairs(*((10 * c + n, 10 * c + n + 1, n % 2) for c in range(6) for n in range(8)))
    unlucky = next(
        seed
        for seed in range(100)
        if plan_pairs(rows, SplitConfig(by="connected", seed=seed), steps=GRID)
        .outputs.summary.spans[""]
        .failures
    )
    text = failure(plan_pairs(rows, SplitConfig(by="connected", seed=unlucky), steps=GRID))
    seed = int(text.partition("Set split.seed to ")[2].partition(",")[0])
    planned = plan_pairs(rows, SplitConfig(by="connected", seed=seed), steps=GRID)
    assert min(planned.report.num_examples) > 0


def test_a_split_by_time_trains_on_the_past():
    rows = [{**row, "time": 100 - i} for i, row in enumerate(examples(range(50)))]
    planned = plan_vectors(rows, SplitConfig(by="time"))
    assert planned.report.num_examples == (30, 10, 10)
    assert all(planned.splits[f"r{row:03}"] == "test" for row in range(10))
    assert all(planned.splits[f"r{row:03}"] == "train" for row in range(20, 50))


def test_a_split_by_time_counts_duplicates_in_the_past_as_leaks():
    rows = [{**row, "time": i} for i, row in enumerate(examples([*range(49), 3]))]
    planned = plan_vectors(rows, SplitConfig(by="time"))
    assert planned.report.num_leaked == 1
    assert planned.report.duplicates[0].groups_across_splits == 1


def test_a_split_by_the_span_uses_the_newest_span_for_the_test():
    rows = examples(range(50))
    planned = plan_vectors(rows, SplitConfig(by="time"), span=lambda row: f"d{row['source'][1:3]}")
    assert planned.report.num_examples == (30, 10, 10)
    assert all(planned.splits[f"r{row:03}"] == "test" for row in range(40, 50))


@given(
    st.lists(st.integers(0, 12), min_size=3, max_size=80).filter(lambda t: len(set(t)) >= 3),
    st.sampled_from([(0.6, 0.2, 0.2), (0.8, 0.1, 0.1), (0.34, 0.33, 0.33)]),
)
def test_times_are_ordered_between_splits_and_equal_times_stay_together(times, fractions):
    split = SplitConfig(
        by="time", **dict(zip(("train", "calibration", "test"), fractions, strict=True))
    )
    splits = split_by_time(np.array(times, float), None, split)
    by_split = [{t for t, s in zip(times, splits, strict=True) if s == n} for n in range(3)]
    assert all(by_split)
    assert max(by_split[0]) < min(by_split[1]) and max(by_split[1]) < min(by_split[2])
    # No other boundary between two times is closer to the fraction of the training data.
    share = sum(t in by_split[0] for t in times)
    others = [sum(t <= cut for t in times) for cut in sorted(set(times))[:-2]]
    assert abs(share - fractions[0] * len(times)) == min(
        abs(other - fractions[0] * len(times)) for other in others
    )


def test_too_few_or_mixed_times_are_an_error():
    with pytest.raises(DataError, match=r"at least 3 distinct times.*got 2"):
        split_by_time(np.array([1.0, 1, 2]), None, SplitConfig(by="time"))
    with pytest.raises(DataError, match="1 rows have a date and 2 a plain number"):
        split_by_time(np.arange(3.0), np.array([True, False, False]), SplitConfig(by="time"))
