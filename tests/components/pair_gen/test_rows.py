import numpy as np
import pyarrow as pa
import pytest

from diptych.components.pair_gen.rows import bytes_of, flat_rows, joined, row_schema, sort_order
from diptych.schemas.errors import DataError
from diptych.schemas.inputs import Column, Inputs

IMAGE = Inputs(kind="image", size=(2, 1), channels=1)
VECTOR = Inputs(kind="vector", columns=(Column(name="a", width=3),))


def decoded(x, ids=(b"0" * 32, b"fF" * 16)):
    return pa.record_batch(
        {
            "class": pa.array([[4]] * len(ids)),
            "id": pa.array([[value] for value in ids]),
            "label": pa.array([[b"b"], [b"a"]]),
            "x": x,
        }
    )


def test_features_become_flat_columns_of_one_width():
    image = decoded(pa.array([[b"no"], [b"12"], [b"34"]])[1:])  # a slice, as decoders give them
    rows = flat_rows(image, IMAGE, seed=0)
    assert rows["x"].to_pylist() == [b"12", b"34"]
    assert rows["id"].to_pylist() == [b"\0" * 16, b"\xff" * 16]
    vector = decoded(pa.array([[1, 2, 3], [4, 5, 6]], pa.list_(pa.float32())))
    rows = flat_rows(vector, VECTOR, seed=0)
    assert rows["x"].to_pylist() == [[1, 2, 3], [4, 5, 6]]
    assert rows["label"].to_pylist() == [b"b", b"a"]
    assert rows["class"].to_pylist() == [4, 4]


@pytest.mark.parametrize(
    ("x", "ids", "inputs", "message"),
    [
        (
            [[b"12"], [b"345"]],
            None,
            IMAGE,
            r"Need 2 bytes of 'x' in every.*got 3 in 1 of 2",
        ),
        ([[b"12"], None], None, IMAGE, r"Need 1 values of the feature 'x'.*got 0 in 1 of 2"),
        ([[1.0, 2.0], [1.0, 2.0, 3.0]], None, VECTOR, r"Need 3 values.*got 2 in 1 of 2"),
        ([[b"12"], [b"34"]], (b"0" * 32, b"g" * 32), IMAGE, r"'id' must be 32 hexadecimal digits"),
    ],
)
def test_wrong_features_are_told(x, ids, inputs, message):
    with pytest.raises(DataError, match=message):
        flat_rows(decoded(pa.array(x), ids or (b"0" * 32, b"1" * 32)), inputs, seed=0)


def test_a_feature_that_lacks_is_told():
    batch = decoded(pa.array([[b"12"], [b"34"]])).drop_columns(["label"])
    with pytest.raises(DataError, match=r"need a feature 'label', got \['class', 'id', 'x'\]"):
        flat_rows(batch, IMAGE, seed=0)


def test_rows_with_one_id_are_sorted_by_what_they_hold():
    batch = decoded(pa.array([[b"12"], [b"34"]]), ids=(b"0" * 32, b"0" * 32))
    rows = flat_rows(batch, IMAGE, seed=0)
    reverse = rows.take(pa.array([1, 0]))
    same_class = np.zeros(2, np.int64)
    first, second = (part.take(pa.array(sort_order(part, same_class))) for part in (rows, reverse))
    assert first.equals(second)


def test_joined_keeps_slices_apart_from_what_they_are_cut_from():
    rows = flat_rows(decoded(pa.array([[b"12"], [b"34"]])), IMAGE, seed=0)
    both = joined([rows.slice(1, 1), rows.slice(0, 1)], row_schema(IMAGE))
    assert both["x"].to_pylist() == [b"34", b"12"]
    assert bytes_of(both["x"]).tolist() == [[51, 52], [49, 50]]
    assert joined([], row_schema(IMAGE)).num_rows == 0
