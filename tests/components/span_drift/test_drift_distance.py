import numpy as np
import pyarrow as pa
import pytest

from diptych.components.span_drift.drift_distance import (
    compute_drift_anomalies,
    list_feature_drifts,
)
from diptych.components.span_drift.sampling import EARLIER, NEWEST, PREVIOUS

LIMIT = 1000
_PREVIOUS, _REST = "the previous span", "the rest of the window"


def to_lists(values):
    return pa.ListArray.from_arrays(pa.array(np.arange(len(values) + 1), pa.int32()), values)


def make_group(number, labels, values):
    rows = len(labels)
    return pa.table(
        {
            "sort_key": pa.array(np.arange(rows) * 3 + number, pa.uint64()),
            "group": pa.array([number] * rows),
            "label": to_lists(pa.array(labels, pa.binary())),
            "a": to_lists(pa.array(values, pa.float32())),
        }
    )


def compute_drifts(*groups, label=0.3, value=0.3):
    sample = pa.concat_tables(groups)
    return {
        (drift.feature, drift.reference): drift
        for drift in list_feature_drifts(compute_drift_anomalies(sample, LIMIT, label, value))
    }


def test_label_drift_is_the_largest_difference_of_shares():
    even = np.linspace(0, 1, 100)
    drifts = compute_drifts(
        make_group(NEWEST, [b"ant"] * 60 + [b"bee"] * 40, even),
        make_group(PREVIOUS, [b"ant"] * 50 + [b"bee"] * 50, even),
        make_group(EARLIER, [b"bee"] * 100, even),
    )
    previous, rest = (drifts["label", reference] for reference in (_PREVIOUS, _REST))
    assert previous.value == pytest.approx(0.1)
    assert rest.value == pytest.approx(0.6 - 0.25)
    assert [drift.exceeds_threshold for drift in (previous, rest)] == [False, True]
    assert str(rest) == "label, L-infinity 0.350 from the rest of the window (at most 0.3)"


def test_value_drift_is_the_divergence_of_histograms():
    labels = [b"ant"] * 100
    drifts = compute_drifts(
        make_group(NEWEST, labels, np.linspace(9, 10, 100)),
        make_group(PREVIOUS, labels, np.linspace(9, 10, 100)),
        make_group(EARLIER, labels, np.linspace(0, 1, 100)),
        value=0.1,
    )
    assert drifts["a", _PREVIOUS].value == pytest.approx(0, abs=1e-6)
    # Half of the reference has the values of the newest span: the divergence of (1, 0) and
    # (1/2, 1/2), 0.5 log2(1/0.75) + 0.5 (0.5 log2(0.5/0.75) + 0.5 log2(0.5/0.25)).
    assert drifts["a", _REST].value == pytest.approx(0.311, abs=0.01)
    assert next(iter(drifts)) == ("a", _REST)


def test_too_few_examples_are_not_compared():
    few, many = ([b"ant"] * number for number in (49, 50))
    groups = [make_group(NEWEST, many, [1.0] * 50), make_group(PREVIOUS, few, [1.0] * 49)]
    assert compute_drift_anomalies(pa.concat_tables(groups), LIMIT, 0.3, 0.3) == (
        "the previous span has 49 examples, but needs at least 50"
    )


def test_many_small_new_classes_are_no_drift():
    values = np.linspace(0, 1, 100)
    drifts = compute_drifts(
        make_group(NEWEST, [f"new{i % 20}".encode() for i in range(100)], values),
        make_group(PREVIOUS, [f"old{i % 20}".encode() for i in range(100)], values),
    )
    assert drifts["label", _PREVIOUS].value == pytest.approx(0.05)
    assert not any(drift.exceeds_threshold for drift in drifts.values())
