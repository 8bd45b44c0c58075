import numpy as np
import pyarrow as pa
import pytest

from diptych.components.span_drift.drift_distance import compare, distances
from diptych.components.span_drift.sampling import BEFORE, EARLIER, NEWEST

LIMIT = 1000
_BEFORE, _REST = "the span before", "the rest of the window"


def lists(values):
    return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1), pa.int32()), values)


def group(number, labels, values):
    rows = len(labels)
    return pa.table(
        {
            "place": pa.array(np.arange(rows) * 3 + number, pa.uint64()),
            "group": pa.array([number] * rows),
            "label": lists(pa.array(labels, pa.binary())),
            "a": lists(pa.array(values, pa.float32())),
        }
    )


def measured(*groups, label=0.3, value=0.3):
    sample = pa.concat_tables(groups)
    return {
        (one.feature, one.others): one for one in distances(compare(sample, LIMIT, label, value))
    }


def test_labels_are_compared_by_the_largest_difference_of_their_shares():
    even = np.linspace(0, 1, 100)
    found = measured(
        group(NEWEST, [b"ant"] * 60 + [b"bee"] * 40, even),
        group(BEFORE, [b"ant"] * 50 + [b"bee"] * 50, even),
        group(EARLIER, [b"bee"] * 100, even),
    )
    before, rest = (found["label", others] for others in (_BEFORE, _REST))
    assert before.value == pytest.approx(0.1)
    assert rest.value == pytest.approx(0.6 - 0.25)
    assert [one.too_far for one in (before, rest)] == [False, True]
    assert str(rest) == "label, L-infinity 0.350 from the rest of the window (at most 0.3)"


def test_numbers_are_compared_by_their_histograms():
    labels = [b"ant"] * 100
    found = measured(
        group(NEWEST, labels, np.linspace(9, 10, 100)),
        group(BEFORE, labels, np.linspace(9, 10, 100)),
        group(EARLIER, labels, np.linspace(0, 1, 100)),
        value=0.1,
    )
    assert found["a", _BEFORE].value == pytest.approx(0, abs=1e-6)
    # Half of the mixture is where the newest are: (0.5 log2(1/0.75) + 0.5 (0.5 log2(0.5/0.75) +
    # 0.5 log2(0.5/0.25))), the divergence of (1, 0) and (1/2, 1/2).
    assert found["a", _REST].value == pytest.approx(0.311, abs=0.01)
    assert next(iter(found)) == ("a", _REST)


def test_a_few_examples_are_not_compared():
    few, many = ([b"ant"] * number for number in (49, 50))
    groups = [group(NEWEST, many, [1.0] * 50), group(BEFORE, few, [1.0] * 49)]
    assert compare(pa.concat_tables(groups), LIMIT, 0.3, 0.3) == (
        "the span before has 49 examples, of the 50 that it takes"
    )


def test_a_new_class_of_many_is_no_drift():
    values = np.linspace(0, 1, 100)
    found = measured(
        group(NEWEST, [f"new{i % 20}".encode() for i in range(100)], values),
        group(BEFORE, [f"old{i % 20}".encode() for i in range(100)], values),
    )
    assert found["label", _BEFORE].value == pytest.approx(0.05)
    assert not any(one.too_far for one in found.values())
