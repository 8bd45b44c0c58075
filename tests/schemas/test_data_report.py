import numpy as np

from diptych.schemas.data_report import (
    DataReport,
    DuplicateCounts,
    GivenPairs,
    describe_duplicates,
    describe_leaks,
    read_leaked_ids,
)

REPORT = DataReport(
    num_examples=(6000, 2000, 2000),
    num_moved=7,
    duplicates=(
        DuplicateCounts(kind="equal", groups=1, examples=2, groups_across_splits=0),
        DuplicateCounts(kind="near", groups=600, examples=1500, groups_across_splits=3),
    ),
    num_leaked=25,
)


def test_the_report_and_the_leaked_ids_survive_a_file(tmp_path):
    ids = np.arange(48, dtype=np.uint8).reshape(3, 16)
    REPORT.write(tmp_path, ids)
    assert DataReport.read(tmp_path) == REPORT
    assert read_leaked_ids(tmp_path).tolist() == ids.tolist()


def test_no_leaked_ids_are_an_empty_table(tmp_path):
    REPORT.write(tmp_path, np.empty((0, 16), np.uint8))
    assert read_leaked_ids(tmp_path).shape == (0, 16)


def test_duplicates_and_leaks_are_described_in_one_line():
    assert describe_duplicates(REPORT) == (
        "2 examples in 1 group (equal), 1,500 examples in 600 groups (near-duplicate images), "
        "7 moved to the split of their duplicates"
    )
    assert describe_leaks(REPORT) == (
        "25 of 2,000 test examples (1.2%) have a duplicate in the training split"
    )
    assert describe_duplicates(DataReport(num_examples=(1, 1, 1))) == "none"


def test_leaks_of_given_pairs_name_the_shared_examples():
    counts = {"num_examples": 60, "num_shared": 58, "num_test_examples": 59}
    pairs = GivenPairs(**counts, num_components=1, largest_component=9980)
    report = REPORT.model_copy(update={"pairs": pairs, "num_leaked": 1999})
    assert describe_duplicates(report).startswith("2 pairs in 1 group (equal), 1,500 pairs in")
    assert describe_leaks(report) == (
        "1,999 of 2,000 test pairs (100.0%) have an example that occurs in a training pair; "
        "58 of 60 examples occur in several splits"
    )
