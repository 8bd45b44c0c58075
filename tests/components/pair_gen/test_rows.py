import numpy as np
import pyarrow as pa
import pytest

from diptych.components.pair_gen.rows import (
    LabelColumn,
    argsort_rows,
    concat_batches,
    make_rows,
    row_schema,
)
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.shards import fixed_binary_to_numpy

IMAGE = InputSpec(kind="image", size=(2, 1), channels=1)
VECTOR = InputSpec(kind="vector", columns=(Column(name="a", width=3),))


def hex_digits(*ids):
    return np.frombuffer(b"".join(ids), np.uint8).reshape(len(ids), -1)


def columns(x=((49, 50), (51, 52)), ids=(b"0" * 32, b"fF" * 16)):
    return {
        "id": hex_digits(*ids),
        "label": LabelColumn([b"b", b"a"], np.array([0, 1])),
        "class": np.array([4, 3]),
        "x": np.array(x, np.uint8),
    }


def test_features_become_columns_of_fixed_width():
    rows = make_rows(columns(), IMAGE, seed=0)
    assert rows["x"].to_pylist() == [b"12", b"34"]
    assert rows["id"].to_pylist() == [b"\0" * 16, b"\xff" * 16]
    x = np.array([[1, 2, 3], [4, 5, 6]], np.float32)
    rows = make_rows(columns() | {"x": x}, VECTOR, seed=0)
    assert rows["x"].to_pylist() == [[1, 2, 3], [4, 5, 6]]
    assert rows["label"].to_pylist() == [b"b", b"a"]
    assert rows["class"].to_pylist() == [4, 3]


def test_an_input_of_the_wrong_size_raises():
    with pytest.raises(DataError, match=r"'x' must have 2 bytes in every example, got 3"):
        make_rows(columns(x=[(1, 2, 3), (4, 5, 6)]), IMAGE, seed=0)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ((b"0" * 32, b"g" * 32), "'id' must be 32 hexadecimal digits"),
        ((b"0" * 30, b"1" * 30), "'id' must have 32 bytes in every example, got 30"),
    ],
)
def test_invalid_ids_raise(ids, message):
    with pytest.raises(DataError, match=message):
        make_rows(columns(ids=ids), IMAGE, seed=0)


def test_an_empty_label_raises():
    labels = LabelColumn([b"a", b""], np.array([1, 0, 1]))
    with pytest.raises(DataError, match=r"^Every example needs a label, got 2 of 3 with an empty"):
        make_rows(columns(x=[(1, 2)] * 3, ids=[b"0" * 32] * 3) | {"label": labels}, IMAGE, seed=0)


@pytest.mark.parametrize(
    ("right", "same", "message"),
    [
        (b"2", 2, r"'same' must be 1 .* and 0 .*, got 2 in 1 of 2\. Check data\.same"),
        (b"2", -1, r"got -1 in 1 of 2"),
        (b"1", 1, r"needs two different examples, got 1 of 2 pairs of an example with itself"),
        (b"1", 0, r"needs two different examples, got 1 of 2"),
    ],
)
def test_an_invalid_given_pair_raises(right, same, message):
    vectors = np.zeros((2, 3), np.float32)
    given = {
        "id": hex_digits(b"3" * 32, b"4" * 32),
        "left_id": hex_digits(b"1" * 32, b"1" * 32),
        "right_id": hex_digits(b"2" * 32, right * 32),
        "same": np.array([1, same]),
        "left": vectors,
        "right": vectors,
    }
    paired = VECTOR.model_copy(update={"right_columns": VECTOR.columns})
    with pytest.raises(DataError, match=message):
        make_rows(given, paired, seed=0)


def test_rows_with_the_same_id_are_sorted_by_their_content():
    rows = make_rows(columns(ids=(b"0" * 32, b"0" * 32)), IMAGE, seed=0)
    reverse = rows.take(pa.array([1, 0]))
    same_class = np.zeros(2, np.int64)
    first, second = (
        part.take(pa.array(argsort_rows(part, same_class))) for part in (rows, reverse)
    )
    assert first.equals(second)


def test_concatenated_slices_exclude_the_rest_of_their_batches():
    rows = make_rows(columns(), IMAGE, seed=0)
    both = concat_batches([rows.slice(1, 1), rows.slice(0, 1)], row_schema(IMAGE))
    assert both["x"].to_pylist() == [b"34", b"12"]
    assert fixed_binary_to_numpy(both["x"], 2).tolist() == [[51, 52], [49, 50]]
    assert concat_batches([], row_schema(IMAGE)).num_rows == 0
