import numpy as np

from diptych.components.example_gen.records import ExampleRecords, row_keys
from diptych.components.example_gen.split_plan import SplitPlan, plan_splits


def test_records_survive_serialization():
    keys = row_keys("7 item", 3)
    read = ExampleRecords.from_bytes(
        ExampleRecords.of_batch("1970-01-02", keys, np.array([2, 0, 1], np.uint8)).to_bytes()
    )
    assert read.span == "1970-01-02"
    assert read.keys.tolist() == keys.tolist()
    assert read.splits.tolist() == [2, 0, 1]


def test_keys_of_different_batches_are_disjoint():
    keys = np.concatenate([row_keys(f"{number} item", 500) for number in range(200)])
    assert len(np.unique(keys)) == 100_000


def test_a_plan_replaces_the_splits_of_its_keys_only():
    plan = SplitPlan(np.array([4, 9], np.uint64), np.array([2, 0], np.uint8))
    keys = np.array([9, 1, 4, 12], np.uint64)
    splits = plan.assign(keys, np.array([1, 1, 1, 1], np.uint8))
    assert splits.tolist() == [0, 1, 2, 1]
    assert SplitPlan.from_bytes(plan.to_bytes()).assign(keys, splits).tolist() == [0, 1, 2, 1]


def test_examples_of_skipped_spans_are_not_counted():
    records = [
        ExampleRecords.of_batch(span, row_keys(span, len(splits)), np.array(splits, np.uint8))
        for span, splits in (("1", [0, 0, 2]), ("2", [1, 1]), ("3", [0, 1, 2, 2]))
    ]
    assert plan_splits(records, ["1", "3"]).num_examples == {"1": (2, 0, 1), "3": (1, 1, 2)}
