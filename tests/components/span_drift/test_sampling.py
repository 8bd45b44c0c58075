import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.span_drift.sampling import (
    EARLIER,
    IMAGE_BYTES,
    NEWEST,
    PREVIOUS,
    extract_features,
    max_sample_size,
    merge_samples,
    select_groups,
    take_first_per_group,
)
from diptych.schemas.input_spec import Column, InputSpec

INPUTS = InputSpec(kind="vector", columns=(Column(name="a"), Column(name="b", width=2)))
SPANS = ["1", "2", "3", "10"]


def to_lists(values, kind, width=1):
    offsets = pa.array(range(0, len(values) + 1, width), pa.int32())
    return pa.ListArray.from_arrays(offsets, pa.array(values, kind))


def make_batch(sources, **more):
    rows = len(sources)
    return pa.record_batch(
        {
            "source": to_lists([source.encode() for source in sources], pa.binary()),
            "id": to_lists([f"{number:032x}".encode() for number in range(rows)], pa.binary()),
            "label": to_lists([b"ant", b"bee"] * (rows // 2) + [b"cat"] * (rows % 2), pa.binary()),
            "a": to_lists(np.arange(rows), pa.float32()),
            "b": to_lists(np.arange(2 * rows), pa.float32(), 2),
            **more,
        }
    )


def test_rows_are_in_the_group_of_their_span():
    table = extract_features(
        make_batch(["10/t:1", "3/t", "2/10/t", "1/x/y", "10/z"]), INPUTS, SPANS
    )
    assert table["group"].to_pylist() == [NEWEST, PREVIOUS, EARLIER, EARLIER, NEWEST]
    assert select_groups(table, [PREVIOUS, EARLIER], 9).num_rows == 3
    newest = select_groups(table, [NEWEST], 9).to_pydict()
    assert sorted(zip(newest["label"], newest["a"], newest["b"], strict=True)) == [
        ([b"ant"], [0.0], [0.0, 1.0]),
        ([b"cat"], [4.0], [8.0, 9.0]),
    ]


@settings(deadline=None)
@given(cuts=st.lists(st.integers(0, 60), max_size=5), limit=st.integers(1, 40), data=st.data())
def test_the_sample_does_not_depend_on_the_division_of_rows(cuts, limit, data):
    table = extract_features(make_batch([f"{SPANS[i % 4]}/{i}" for i in range(60)]), INPUTS, SPANS)
    bounds = [0, *sorted(cuts), 60]
    parts = [table.slice(a, b - a) for a, b in itertools.pairwise(bounds)]
    cut = data.draw(st.integers(0, len(parts)))
    parts = data.draw(st.permutations(parts))
    halves = [merge_samples(half, limit) for half in (parts[:cut], parts[cut:])]
    sample = merge_samples([half for half in halves if half is not None], limit)
    assert sample.equals(take_first_per_group([table], limit))
    groups = sample["group"].to_pylist()
    sizes = {NEWEST: 15, PREVIOUS: 15, EARLIER: 30}
    assert {g: groups.count(g) for g in sizes} == {g: min(n, limit) for g, n in sizes.items()}


def test_a_sample_does_not_depend_on_the_order_of_rows():
    table = take_first_per_group(
        [extract_features(make_batch([f"10/{i}" for i in range(1000)]), INPUTS, SPANS)], 100
    )
    values = select_groups(table, [NEWEST], 100)["a"].flatten().to_numpy()
    assert 400 < values.mean() < 600


def test_the_file_size_of_images_is_compared():
    images = to_lists([b"x" * 1024, b"y" * 2048], pa.binary())
    inputs = InputSpec(kind="image", size=(8, 8), channels=1)
    table = extract_features(make_batch(["10/a", "10/b"], image=images), inputs, SPANS)
    assert set(table.column_names) == {"sort_key", "group", "label", IMAGE_BYTES}
    assert table[IMAGE_BYTES].to_pylist() == [[10.0], [11.0]]


def test_both_sides_and_the_label_of_given_pairs_are_compared():
    inputs = InputSpec(
        kind="vector", columns=(Column(name="a"),), right_columns=(Column(name="c"),)
    )
    more = {"same": to_lists([1, 0], pa.int64()), "c": to_lists([5, 6], pa.float32())}
    table = extract_features(make_batch(["10/a", "3/b"], **more), inputs, SPANS)
    assert set(table.column_names) == {"sort_key", "group", "same", "a", "c"}
    assert table["same"].to_pylist() == [[b"1"], [b"0"]]


def test_a_sample_of_wide_vectors_is_smaller():
    assert max_sample_size(INPUTS) == 20_000
    wide = InputSpec(kind="vector", columns=(Column(name="e", width=2**13),))
    assert max_sample_size(wide) == 2**11
