from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.profile import profile_data
from diptych.components.example_gen.span_files import find_files
from diptych.components.example_gen.unused_columns import (
    SUSPICIOUS_HEADER,
    list_suspicious_headers,
    list_unused_columns,
)
from diptych.schemas.config.data import PairTable, Table
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import RESERVED
from diptych.schemas.rejected_rows import (
    CONSTANT_COLUMN,
    IngestCounts,
    IngestSummary,
    ReasonCount,
)


def unused(path, **options):
    data = Table(kind="table", path=str(path), label="y", **options)
    inputs = infer_input_spec(data, SplitConfig())
    return dict(list_unused_columns(find_files(data), data, inputs))


def test_columns_without_a_role_are_listed_with_the_reason(tmp_path):
    text = (
        ",y,a,b,b,note,empty,label,day\n"
        "0,u,1.5,1,2,some text,NA,7,2026-01-01\n"
        "1,v,2.5,3,4,more text,,8,2026-01-02\n"
    )
    (tmp_path / "t.csv").write_text(text)
    assert unused(tmp_path / "t.csv", columns=["a"]) == {
        "": "index column of pandas",
        "b": "column with the same name as another",
        "note": "text column",
        "empty": "column without a value in the first rows",
        "label": f"column with a reserved name ({', '.join(RESERVED)})",
        "day": "text column",
    }


def test_types_of_parquet_are_named(tmp_path):
    table = pa.table(
        {
            "y": ["u", "v"],
            "a": [1.0, 2.0],
            "c": [3.0, 4.0],
            "v": [[1, 2], [3, 4]],
            "s": [{"x": 1}, {"x": 2}],
            "word": pa.array(["p", "q"]).dictionary_encode(),
            "nothing": pa.nulls(2),
            "__index_level_0__": [5, 6],
        }
    )
    (tmp_path / "part=1").mkdir()
    pq.write_table(table, tmp_path / "part=1" / "t.parquet")
    assert unused(tmp_path / "part=1" / "t.parquet", columns=["a"], group="part") == {
        "c": "number column, which is not part of the vector",
        "v": "list column, which is not part of the vector",
        "s": "column of the type struct<x: int64>",
        "word": "text column",
        "nothing": "column without a value in the first rows",
        "__index_level_0__": "index column of pandas",
    }
    without_group = unused(tmp_path / "part=1" / "t.parquet", columns=["a"])
    assert without_group["part"] == "folder of a partition, which has no role in data"


def test_columns_of_pairs_have_roles(tmp_path):
    frame = pd.DataFrame({"same": [0, 1], "x_1": [1.0, 2], "x_2": [3.0, 4], "z": [5.0, 6]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    data = PairTable(
        kind="pairs", path=str(tmp_path / "t.csv"), same="same", left="x_1", right="x_2"
    )
    inputs = infer_input_spec(data, SplitConfig())
    assert list_unused_columns(find_files(data), data, inputs) == [
        ("z", "number column, which is not part of the vector")
    ]


def test_a_header_that_looks_like_data_is_found(tmp_path):
    (tmp_path / "t.csv").write_text("5.1,3.5,u\n4.9,3.0,u\n4.7,3.2,v\n")
    data = Table(kind="table", path=str(tmp_path / "t.csv"), label="u")
    assert list_suspicious_headers(find_files(data), data) == [("t.csv:1", SUSPICIOUS_HEADER)]
    without = Table(kind="table", path=str(tmp_path / "t.csv"), label="c3", header=False)
    assert list_suspicious_headers(find_files(without), without) == []
    assert infer_input_spec(without, SplitConfig()).shape.shape == (2,)


def test_init_names_unused_columns_and_proposes_no_header(tmp_path):
    (tmp_path / "t.csv").write_text("y,a,note\nu,1,text\nv,2,other\nu,3,text\nv,4,other\n")
    profile = profile_data(tmp_path / "t.csv")
    assert "Not used: 'note' (text column)." in profile.notes
    (tmp_path / "n.csv").write_text("5.1,3.5,u\n4.9,3.0,u\n4.7,3.2,v\n")
    profile = profile_data(tmp_path / "n.csv")
    assert (profile.data["header"], profile.data["label"]) == (False, "c3")
    assert any(
        note.startswith("CHECK: the first row of n.csv looks like data") for note in profile.notes
    )


def test_init_proposes_encoding_and_decimal_sign(tmp_path):
    rows = "".join(f"{name};{i},5\n" for i in range(9) for name in ("Jörg", "Zoë", "Müller"))
    (tmp_path / "t.csv").write_bytes(f"name;a\n{rows}".encode("cp1252"))
    profile = profile_data(tmp_path / "t.csv")
    assert profile.data["encoding"] == "cp1252"
    assert profile.data["decimal"] == ","
    assert profile.data["label"] == "name"
    assert "t.csv is not UTF-8; data.encoding: cp1252 fits." in profile.notes
    assert not any(note.startswith("CHECK") for note in profile.notes)


def test_init_refuses_text_that_no_encoding_fits(tmp_path, capfd):
    # A row with another number of fields, which Arrow shows as UTF-8.
    (tmp_path / "t.csv").write_bytes(b"y,a\nu,1\nv,2\n\x01\xff\x81\x8d,3,4\n")
    with pytest.raises(DataError, match=r"not UTF-8 \(line 4: .*no common encoding fits"):
        profile_data(tmp_path / "t.csv")
    assert capfd.readouterr().err == ""


def test_a_measurement_named_y_is_no_label(tmp_path):
    rows = "".join(f"{i / 7},{i / 3},{i % 3}\n" for i in range(60))
    (tmp_path / "t.csv").write_text(f"x,y,code\n{rows}")
    assert profile_data(tmp_path / "t.csv").data["label"] == "code"


def test_init_keeps_what_identifies_or_counts_the_rows_out_of_the_vector(tmp_path):
    numbers = range(30)
    frame = pd.DataFrame({"Id": [7 * i for i in numbers], "species": ["u", "v"] * 15})
    frame["no_counter"] = [7 * i + 3 for i in numbers]
    frame["line"], frame["customer_id"] = [i + 5 for i in numbers], [i * i for i in numbers]
    frame.to_csv(tmp_path / "t.csv", index=False)
    profile = profile_data(tmp_path / "t.csv")
    assert profile.data["id"] == "Id"
    assert profile.data["columns"] == ["no_counter"]
    check = (
        "CHECK: not part of the vector, because they are ids or numbers of the rows: 'line', "
        "'customer_id'."
    )
    assert check in profile.notes


@pytest.mark.parametrize(
    "cells",
    [
        [{"x": 1}] * 4,
        [[1]] * 4,
        pa.array([[1.0]] * 4, pa.list_(pa.float32(), 1)),
        pa.array([pa.MonthDayNano([1, 2, 3])] * 4),
        pa.ExtensionArray.from_storage(
            pa.fixed_shape_tensor(pa.int8(), [1]), pa.array([[1]] * 4, pa.list_(pa.int8(), 1))
        ),
    ],
    ids=["struct", "list", "fixed", "interval", "tensor"],
)
@pytest.mark.parametrize("name", ["id", "same", "match", "group", "split", "date", "target"])
def test_init_gives_no_role_to_a_column_whose_cells_have_no_text(tmp_path, cells, name):
    table = pa.table({"y": ["u", "v"] * 2, "a": [1.0, 2.0, 3.0, 4.0], name: cells})
    pf.write_feather(table, tmp_path / "t.feather")
    data = profile_data(tmp_path / "t.feather").data
    assert (data["kind"], data["label"]) == ("table", "y")
    assert name not in {key: data.get(key) for key in ("id", "group", "split")}.values()


def test_init_gives_no_role_to_columns_of_one_name(tmp_path):
    (tmp_path / "t.csv").write_text("id,y,id,a\n1,u,1,1.5\n2,v,2,2.5\n")
    assert "id" not in profile_data(tmp_path / "t.csv").data


def test_init_explains_tables_in_subfolders(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.csv").write_text("y,x\nu,1\nv,2\n")
    with pytest.raises(
        DataError, match=r"such as a/1.csv, are in subfolders.*\*\*/\*.csv.*key=value"
    ):
        profile_data(tmp_path)
    assert profile_data(tmp_path / "**" / "*.csv").data["label"] == "y"


values = st.dictionaries(st.sampled_from("abc"), st.sampled_from([0.0, 1.0]), max_size=3)
parts = st.lists(st.one_of(st.none(), values), max_size=5)


@given(parts)
def test_constants_of_parts_are_those_of_the_whole(parts):
    total = IngestCounts.total(IngestCounts(constants=part) for part in parts)
    known = [part for part in parts if part is not None]
    if not known:
        assert total.constants is None
        return
    expected = {
        name: value
        for name, value in known[0].items()
        if all(part.get(name) == value for part in known)
    }
    assert total.constants == expected
    reversed_total = IngestCounts.total(IngestCounts(constants=part) for part in reversed(parts))
    assert reversed_total.constants == expected


def test_a_run_reports_constants_unused_columns_and_files(tmp_path, ingest):
    folder = tmp_path / "data"
    folder.mkdir()
    rows = "".join(f"{'u' if i % 2 else 'v'},{i},7,text\n" for i in range(300))
    (folder / "t.csv").write_text(f"y,a,k,note\n{rows}")
    (folder / "u.csv").write_text("y,k,a,more\nu,7,1,2\n")
    (folder / "v.csv").touch()
    (folder / "README.md").touch()
    run = ingest(Table(kind="table", path=str(folder), label="y", columns=["a", "k"]))
    used = IngestSummary.read(Path(run.rejected.uri)).used
    assert used.ignored == {
        "text column": ReasonCount(count=1, source="note"),
        "column that the first file does not have": ReasonCount(count=1, source="more"),
        "empty (0 bytes)": ReasonCount(count=1, source="v.csv"),
        "file without the extension of such data": ReasonCount(count=1, source="README.md"),
    }
    assert used.findings == {CONSTANT_COLUMN: ReasonCount(count=1, source="k")}


@pytest.mark.parametrize("last", ["7", "8"])
def test_a_column_is_constant_over_all_files_or_not(tmp_path, ingest, last):
    for name, k in (("a", "7"), ("b", last)):
        rows = "".join(f"{'u' if i % 2 else 'v'},{i},{k}\n" for i in range(100))
        (tmp_path / f"{name}.csv").write_text(f"y,a,k\n{rows}")
    run = ingest(Table(kind="table", path=str(tmp_path), label="y"))
    findings = IngestSummary.read(Path(run.rejected.uri)).used.findings
    assert (CONSTANT_COLUMN in findings) == (last == "7")
