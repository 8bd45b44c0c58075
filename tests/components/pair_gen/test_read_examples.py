import pytest

from diptych.components.pair_gen import read_examples
from diptych.components.pair_gen.read_examples import read_transformed_rows
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column, InputSpec

IMAGE = InputSpec(kind="image", size=(2, 1), channels=1)
VECTOR = InputSpec(kind="vector", columns=(Column(name="a", width=3),))
PAIRED = VECTOR.model_copy(update={"right_columns": (Column(name="b", width=3),)})


def example(number, x=b"12"):
    return {"id": [b"%032x" % number], "label": [b"k%d" % number], "class": [number], "x": [x]}


@pytest.mark.parametrize("name", ["all", "all.gz"])
def test_files_are_read_in_order_in_batches_of_limited_size(
    name, write_records, tmp_path, monkeypatch
):
    monkeypatch.setattr(read_examples, "_MAX_BATCH_ROWS", 2)
    path = write_records(tmp_path / name, [example(number) for number in range(5)])
    batches = list(read_transformed_rows(path, IMAGE, seed=0))
    assert [batch.num_rows for batch in batches] == [2, 2, 1]
    assert [value for batch in batches for value in batch["class"].to_pylist()] == [*range(5)]
    assert batches[1]["label"].to_pylist() == [b"k2", b"k3"]


def test_the_memory_of_a_batch_is_limited(write_records, tmp_path, monkeypatch):
    monkeypatch.setattr(read_examples, "_BATCH_BYTES", 3 * (128 + 2))
    path = write_records(tmp_path / "all", [example(number) for number in range(5)])
    assert [batch.num_rows for batch in read_transformed_rows(path, IMAGE, seed=0)] == [3, 2]


def test_given_pairs_are_read(write_records, tmp_path):
    row = {
        "id": [b"1" * 32],
        "left_id": [b"2" * 32],
        "right_id": [b"3" * 32],
        "same": [1],
        "left": [1.0, 2.0, 3.0],
        "right": [4.0, 5.0, 6.0],
    }
    (rows,) = read_transformed_rows(write_records(tmp_path / "all", [row]), PAIRED, seed=0)
    assert rows["right"].to_pylist() == [[4, 5, 6]]
    assert rows["left_id"].to_pylist() == [b"\x22" * 16]
    assert rows["key"].to_pylist() == [1]


@pytest.mark.parametrize(
    ("rows", "inputs", "message"),
    [
        (
            [example(0), example(1, b"123")],
            IMAGE,
            r"of one size each: DecodeRaw requires.*same size",
        ),
        ([example(0) | {"x": [b"12", b"34"]}], IMAGE, r"features class, id, label, x.*Key: x"),
        ([example(0) | {"label": []}], IMAGE, r"features class, id, label, x.*label"),
        ([example(0) | {"x": [1.0, 2.0]}], VECTOR, r"Values size: 2 but output shape: \[3\]"),
        ([example(0)], VECTOR, r"Key: x.*Data types don't match"),
    ],
)
def test_wrong_features_raise(rows, inputs, message, write_records, tmp_path):
    rows = [{name: values for name, values in row.items() if values} for row in rows]
    path = write_records(tmp_path / "all", rows)
    with pytest.raises(DataError, match=message):
        list(read_transformed_rows(path, inputs, seed=0))
