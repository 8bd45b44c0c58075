import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.evaluator.pair_list import read_pair_list
from diptych.schemas.errors import ConfigError, DataError

LFW = "2\t1\nAda\t1\t4\nAda\t2\tBob\t1\nBob\t3\t2\nCy\t1\tAda\t1\n"


@pytest.fixture
def read(tmp_path):
    """A function that writes a file and reads it as a list of pairs."""

    def read(text, name="pairs.csv"):
        (tmp_path / name).write_text(text)
        return read_pair_list(tmp_path / name)

    return read


def rows_of(pairs):
    fold = [None] * len(pairs.same) if pairs.fold is None else pairs.fold.tolist()
    columns = (pairs.left.tolist(), pairs.right.tolist(), pairs.same.tolist(), fold)
    return list(zip(*columns, strict=True))


@pytest.mark.parametrize("name", ["pairs.txt", "pairs.csv", "list"])
@pytest.mark.parametrize("text", [LFW, LFW.replace("\t", " "), "\ufeff" + LFW, LFW + "\n\n"])
def test_an_lfw_list_is_recognised_by_its_header(read, name, text):
    pairs = read(text, name)
    assert pairs.is_lfw
    assert rows_of(pairs) == [
        ("Ada/Ada_0001", "Ada/Ada_0004", 1, 0),
        ("Ada/Ada_0002", "Bob/Bob_0001", 0, 0),
        ("Bob/Bob_0003", "Bob/Bob_0002", 1, 1),
        ("Cy/Cy_0001", "Ada/Ada_0001", 0, 1),
    ]


def test_an_lfw_list_may_have_no_folds_and_names_with_spaces(read):
    pairs = read("1\nAda Q\t1\tAda Q\t12345\nAda Q\t2\tBob\t1\n", "pairs.txt")
    assert rows_of(pairs) == [
        ("Ada Q/Ada Q_0001", "Ada Q/Ada Q_12345", 1, None),
        ("Ada Q/Ada Q_0002", "Bob/Bob_0001", 0, None),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LFW + "Ada\t1\t2\n", "2 x 1 positive and negative pairs, 4 lines, but got 5"),
        ("2\t1\n", "4 lines, but got 0"),
        (LFW.replace("Ada\t1\t4", "Ada\tone\t4"), "line 2: expected 'name n1 n2' or .* 'Ada"),
        (LFW.replace("Ada\t2\tBob\t1", "Ada\t2\tAda\t1"), "fold 1 has 2 positive pairs, but the h"),
        (LFW.replace("Ada\t1\t4", f"Ada\t1\t{'9' * 5000}"), "line 2: expected 'name n1 n2'"),
        (LFW.replace("Ada\t1\t4", "Ada\t4\t4"), "pair 1 compares 'Ada/Ada_0004' with itself"),
    ],
)
def test_an_invalid_lfw_list_is_an_error_that_names_the_line(read, text, message):
    with pytest.raises(DataError, match=message):
        read(text, "pairs.txt")


def test_a_table_needs_two_columns_and_same(read):
    pairs = read("a;b;same;fold\nx;y;1;10\nx;z;0;2\ny;z;0;10\n")
    assert not pairs.is_lfw
    assert rows_of(pairs) == [("x", "y", 1, 0), ("x", "z", 0, 1), ("y", "z", 0, 0)]
    named = read("number,right,note,same,left\n1,y,n,1,x\n2,z,n,0,x\n")
    assert rows_of(named) == [("x", "y", 1, None), ("x", "z", 0, None)]


@pytest.mark.parametrize(
    "words", [("1", "0"), ("True", "FALSE"), ("yes", "no"), ("same", "Different"), ("1.0", "0.0")]
)
def test_same_has_common_words(read, words):
    pairs = read(f"a,b,same\nx,y,{words[0]}\nx,z,{words[1]}\n")
    assert pairs.same.tolist() == [1, 0]


@settings(max_examples=20, deadline=None)
@given(
    rows=st.lists(
        st.tuples(st.integers(0, 9), st.integers(10, 19), st.booleans(), st.integers(0, 3)),
        min_size=2,
        max_size=30,
    ),
    kind=st.sampled_from(["int", "text"]),
)
def test_csv_and_parquet_give_the_same_list(rows, kind, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lists")
    frame = pd.DataFrame(rows, columns=["left", "right", "same", "fold"])
    frame.loc[0, ["same", "fold"]] = True, 4
    frame.loc[1, ["same", "fold"]] = False, 5
    if kind == "text":
        frame["left"] = "img " + frame["left"].astype(str)
    frame.to_csv(folder / "pairs.csv", index=False)
    frame.to_parquet(folder / "pairs.parquet")
    lists = [read_pair_list(folder / name) for name in ("pairs.csv", "pairs.parquet")]
    assert rows_of(lists[0]) == rows_of(lists[1])
    assert lists[0].left.tolist() == frame["left"].astype(str).tolist()
    assert lists[0].same.tolist() == frame["same"].astype(int).tolist()
    np.testing.assert_array_equal(
        lists[0].fold, np.unique(frame["fold"].astype(str), return_inverse=True)[1]
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b,c\nx,y,1\n", "has the columns 'a', 'b', 'c'. Expected a CSV or Parquet file with"),
        ("a,b,c,same\nx,y,z,1\n", "name those of the examples 'left' and 'right'"),
        ("", "has the columns none"),
        ("a,b,same\nx,y,maybe\n", "the column 'same' has the value 'maybe'. Expected 1 or 0"),
        ("a,b,same\nx,y,1\nx,,0\n", "row 3: column 'b' has no value"),
        ("a,b,same\nx,y,1\nx,y,0,4\n", "row 3: row does not have 3 fields"),
        ("a,b,same\nx,y,1\nz,z,0\n", "pair 2 compares 'z' with itself"),
        ("a,b,same\nx,y,1\nz,y,1\n", "positive and negative pairs, got 2 positive and 0 negative"),
        ("a,b,same\n", "got 0 positive and 0 negative"),
        ("a,b,same,fold\nx,y,1,3\nz,y,0,3\n", "has a single fold"),
    ],
)
def test_an_invalid_table_is_an_error_that_states_what_is_expected(read, text, message):
    with pytest.raises(DataError, match=message):
        read(text)


def test_a_missing_file_is_an_error_of_the_configuration(tmp_path):
    with pytest.raises(ConfigError, match=r"evaluate\.pairs does not exist, or is not a file: "):
        read_pair_list(tmp_path / "none.csv")
    with pytest.raises(ConfigError, match="is not a file"):
        read_pair_list(tmp_path)
