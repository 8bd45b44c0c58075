import gzip
import os

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from diptych.components.common.table_rows import read_table_rows
from diptych.components.example_gen.encoding import encode_examples
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.pair_tables import canonical_same_value
from diptych.components.example_gen.span_files import find_files
from diptych.components.example_gen.tables import read_vector_table
from diptych.schemas.config.data import Table, TFRecords
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import ConfigError, DataError
from diptych.schemas.input_spec import Column


def table(path, **options):
    return Table(kind="table", path=str(path), **{"label": "y", **options})


def read(path, split=None, **options):
    """Return the rows of a file as dicts, and the reasons of the rejected rows by source."""
    data, split = table(path, **options), split or SplitConfig()
    inputs = infer_input_spec(data, split)
    rows, rejected = [], {}
    for chunk in read_vector_table(path.parent, path.name, None, data, inputs, split):
        rejected |= dict(chunk.rejected)
        rows += [
            {key: value[0] for key, value in row.items()} for row in chunk.features.to_pylist()
        ]
    return rows, rejected


def write(path, text):
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_unusual_csv_is_parsed_and_invalid_rows_are_rejected(tmp_path):
    text = (
        "\ufeffname,y,a,b\r\n"
        '"x, y",007, 1 ,2\r\n'
        "\r\n"
        '"two\r\nlines",1.0,1e-3,-0.0\r\n'
        "x,1,+1.5,0\r\n"
        "x,NA,1,2\r\n"
        'x," é ",1,2\r\n'
        "x,1,,2\r\n"
        "x,1,1,abc\r\n"
        "x,1,NaN,2\r\n"
        "x,1,inf,2\r\n"
        "x,1,1e39,2\r\n"
        "x,,1,2\r\n"
        "x,1,1\r\n"
        "x,1,1,2,3\r\n"
        "x,1,1_0,2\r\n"
        "x,2,1,2"
    )
    # A tenth of the cells of a column may be invalid; the rest of this file is valid.
    good = "\r\nx,3,4,5" * 60
    rows, rejected = read(write(tmp_path / "t.csv", text + good), columns=["a", "b"])
    first = [(row["label"], row["a"], row["b"], row["source"]) for row in rows[:6]]
    assert first == [
        (b"007", 1.0, 2.0, b"t.csv:2"),
        (b"1", np.float32(1e-3), 0.0, b"t.csv:3"),
        (b"1", 1.5, 0.0, b"t.csv:4"),
        ("é".encode(), 1.0, 2.0, b"t.csv:6"),
        (b"2", 1.0, 2.0, b"t.csv:16"),
        (b"3", 4.0, 5.0, b"t.csv:17"),
    ]
    not_finite = "is not finite (infinite or too large)"
    assert rejected == {
        "t.csv:5": "column 'y' has a value that data.missing lists as missing",
        "t.csv:7": "column 'a' has no value",
        "t.csv:8": "column 'b' is not a number",
        "t.csv:9": "column 'a' has no value",
        "t.csv:10": f"column 'a' {not_finite}",
        "t.csv:11": f"column 'a' {not_finite}",
        "t.csv:12": "column 'y' has no value",
        "t.csv:13": "row does not have 4 fields",
        "t.csv:14": "row does not have 4 fields",
        "t.csv:15": "column 'a' is not a number",
    }


def test_row_numbers_are_correct_across_blocks(tmp_path):
    lines = [f"{i % 3},{i}" if i % 1000 else f"{i % 3},{i},extra" for i in range(1, 700_001)]
    path = write(tmp_path / "t.csv", "y,a\n" + "\n".join(lines) + "\n")
    seen = 0
    for rows in read_table_rows(path, ["a"]):
        values = rows.batch.column("a").cast(pa.string()).cast(pa.int64()).to_numpy()
        np.testing.assert_array_equal(rows.row_numbers, values + 1)
        assert all((number - 1) % 1000 == 0 for number, _ in rows.malformed)
        seen += len(values) + len(rows.malformed)
    assert seen == 700_000


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_are_detected(tmp_path, delimiter):
    text = "y,a,b\nu,1,2\nv,3,4\n".replace(",", delimiter)
    assert [row["b"] for row in read(write(tmp_path / "t.csv", text))[0]] == [2.0, 4.0]


def test_gzipped_csv_is_read(tmp_path):
    path = write(tmp_path / "t.csv.gz", gzip.compress(b"y,a\nu,1\nv,3\n"))
    assert [row["a"] for row in read(path)[0]] == [1.0, 3.0]


@pytest.mark.parametrize(
    ("cells", "text"),
    [
        (pa.array([1, 2], pa.int64()), "1 2"),
        (pa.array([1.0, 2.0], pa.float64()), "1 2"),
        (pa.array([1, 2], pa.uint8()).dictionary_encode(), "1 2"),
        (pa.array(["1", "2"]), "1 2"),
        (pa.array(["1.0", "2.0"]), "1 2"),
        (pa.array(["007", "1.50"]), "007 1.50"),
        (pa.array([True, False]), "True False"),
        (pa.array([0.5, 1e20]), "0.5 100000000000000000000"),
        (pa.array(["u", "v"], pa.large_string()), "u v"),
    ],
)
def test_labels_are_the_same_from_parquet_and_csv(tmp_path, cells, text):
    pq.write_table(pa.table({"y": cells, "a": [1.0, 2.0]}), tmp_path / "t.parquet")
    assert b" ".join(row["label"] for row in read(tmp_path / "t.parquet")[0]) == text.encode()
    lines = [f"{label},{a}" for label, a in zip(text.split(), (1.0, 2.0), strict=True)]
    path = write(tmp_path / "t.csv", "y,a\n" + "\n".join(lines))
    assert b" ".join(row["label"] for row in read(path)[0]) == text.encode()


@pytest.mark.parametrize(
    "cells",
    [
        pa.array(["u", "v", None, "", "  "]),
        pa.array([b"u", b"v", b"", b"\t", b"\xff"]),
        pa.array([1.0, 2.0, None, float("nan"), float("nan")]),
        pa.array(["u", "v", None, None, None]).dictionary_encode(),
    ],
)
def test_rows_without_a_label_are_rejected(tmp_path, cells):
    pq.write_table(pa.table({"y": cells, "a": [1.0, 2.0, 3.0, 4.0, 5.0]}), tmp_path / "t.parquet")
    rows, rejected = read(tmp_path / "t.parquet")
    assert [row["a"] for row in rows] == [1.0, 2.0]
    last = "has no value"
    if cells.type == pa.binary():
        last = "is not text in UTF-8; for a CSV file in another encoding, set data.encoding"
    assert rejected == {
        "t.parquet:3": "column 'y' has no value",
        "t.parquet:4": "column 'y' has no value",
        "t.parquet:5": f"column 'y' {last}",
    }


@pytest.mark.parametrize(
    "times",
    [
        pa.array([2**30, 0], pa.int32()).view(pa.date32()),  # the year 2,941,758
        pa.array([2**40, 0], pa.timestamp("s")),
        pa.array([0, 1], pa.timestamp("s", "Atlantis/Center")),
    ],
)
def test_times_that_python_cannot_represent_stop_no_run(tmp_path, times):
    path = tmp_path / "t.feather"
    pa.feather.write_feather(pa.table({"y": ["a", "b"], "x": [1, 2], "t": times}), path)
    rows, rejected = read(path, columns=["x"])
    assert [row["x"] for row in rows] == [1, 2] and not rejected


def test_parquet_rows_with_invalid_vectors_are_rejected(tmp_path):
    columns = {
        "y": ["u", "v", None, "v", "u", "u"],
        "e": [[1, 2], [3.5, 4], [5, 6], None, [7, None], [float("nan"), 1]],
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet", row_group_size=4)
    rows, rejected = read(tmp_path / "t.parquet", id="y")
    assert [row["source"] for row in rows] == [b"t.parquet:1", b"t.parquet:2"]
    assert rejected == {
        "t.parquet:3": "column 'y' has no value",
        "t.parquet:4": "column 'e' has no value",
        "t.parquet:5": "column 'e' has no value",
        "t.parquet:6": "column 'e' has no value",
    }


def test_equal_vectors_have_equal_ids_in_any_file_format(tmp_path):
    pq.write_table(pa.table({"y": [1, 2, 2], "a": [0.1, 0.0, 3.0]}), tmp_path / "t.parquet")
    write(tmp_path / "t.csv", "a,y\n0.10,1\n-0.0,2\n3,2\n")
    ids = [[row["id"] for row in read(tmp_path / name)[0]] for name in ("t.csv", "t.parquet")]
    assert ids[0] == ids[1]
    assert len(set(ids[0])) == 3 and {len(i) for i in ids[0]} == {32}


def test_ids_come_from_the_key_column(tmp_path):
    path = write(tmp_path / "t.csv", "k,y,a\n1,u,5\n2,v,5\n1,v,6\n")
    ids = [row["id"] for row in read(path, id="k")[0]]
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, ["b2", "a", "b1"]),
        ({"columns": "a"}, ["a"]),
        ({"columns": "b*"}, ["b2", "b1"]),
        ({"columns": ["b1", "a"]}, ["b1", "a"]),
        ({"columns": ["a", "b*"]}, ["a", "b2", "b1"]),
        ({"columns": 2}, ["b2", "a"]),
        ({"group": "b2"}, ["a", "b1"]),
    ],
)
def test_columns_are_selected_in_the_configured_order(tmp_path, options, expected):
    path = write(tmp_path / "t.csv", "Unnamed: 0,b2,name,a,y,b1\n0,1,x,2,u,3\n1,1,x,2,v,3\n")
    columns = infer_input_spec(table(path, **options), SplitConfig()).columns
    assert [column.name for column in columns] == expected


def test_a_list_column_is_the_vector(tmp_path):
    rows = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6, dtype=np.float32)), 3)
    pq.write_table(pa.table({"y": ["u", "v"], "e": rows}), tmp_path / "t.parquet")
    inputs = infer_input_spec(table(tmp_path / "t.parquet"), SplitConfig())
    assert inputs.columns == (Column(name="e", width=3),)
    assert inputs.shape.shape == (3,)


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        (
            {"label": "yy"},
            ConfigError,
            r"no column 'yy'. Did you mean 'y'\? The columns are: 'id', 'y'",
        ),
        ({"columns": ["a", "z"]}, ConfigError, "data.columns: the data have no column 'z'"),
        ({"columns": "z*"}, ConfigError, "no column starts with 'z'"),
        ({"columns": ["a", "a"]}, ConfigError, "more than once: 'a'"),
        ({"columns": ["a", "y"]}, ConfigError, "column 'y' is already data.label"),
        ({"columns": ["a", "t"]}, ConfigError, "not numeric: 't' .such as 'text'"),
        ({"columns": 9}, ConfigError, "9 numeric columns requested"),
        ({}, ConfigError, "'id' would be part of the vector"),
        (
            {"columns": ["a"], "label": "one"},
            DataError,
            "Expected at least 2 classes, got one value",
        ),
        ({"columns": ["a"], "label": "none"}, DataError, "'none' has no values"),
        ({"columns": "twin"}, DataError, "Several columns are named 'twin'"),
    ],
)
def test_invalid_columns_raise_an_error_before_the_run(tmp_path, options, error, match):
    text = "id,y,a,t,one,none,twin,twin\n1,u,1,text,s,,1,1\n2,v,1,text,s,,1,1\n"
    with pytest.raises(error, match=match):
        infer_input_spec(table(write(tmp_path / "t.csv", text), **options), SplitConfig())


@pytest.mark.parametrize(
    ("lists", "match"),
    [([[], []], "are empty or differ"), ([[1.0], [1.0, 2.0]], "are empty or differ")],
)
def test_lists_of_zero_or_varying_length_raise_an_error(tmp_path, lists, match):
    columns = {"y": ["u", "v"], "e": pa.array(lists, pa.list_(pa.float32()))}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(DataError, match=match):
        infer_input_spec(table(tmp_path / "t.parquet"), SplitConfig())


def test_empty_files_among_others_are_allowed(tmp_path):
    write(tmp_path / "a.csv", "")
    write(tmp_path / "b.csv", "y,a\n")
    write(tmp_path / "c.csv", "y,a\nu,1\nv,2\n")
    assert len(infer_input_spec(table(tmp_path), SplitConfig()).columns) == 1


@pytest.mark.parametrize(
    ("name", "content", "error", "match"),
    [
        ("t.csv", "", DataError, "0 bytes"),
        ("t.csv", "\ufeff\n\n", DataError, "have no rows"),
        ("t.csv", "y,a\n", DataError, "have no rows"),
        ("t.parquet", b"PAR1 not really", DataError, "cannot be read as Parquet"),
        ("t.csv", b"\xff\xfey\0,\0a\0", DataError, "(UTF-8|CSV|no column)"),
        ("t.txt", "y,a\nu,1\n", DataError, r"No data files.*\*\*"),
    ],
)
def test_unreadable_files_raise_an_error_before_the_run(tmp_path, name, content, error, match):
    write(tmp_path / name, content)
    with pytest.raises(error, match=match):
        infer_input_spec(table(tmp_path), SplitConfig())


def test_missing_paths_raise_an_error(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        infer_input_spec(table(tmp_path / "none.csv"), SplitConfig())
    with pytest.raises(ConfigError, match="No file matches"):
        infer_input_spec(table(tmp_path / "*.parquet"), SplitConfig())


def test_files_with_differing_columns_raise_an_error(tmp_path):
    write(tmp_path / "a.csv", "y,a\nu,1\nv,2\n")
    write(tmp_path / "b.csv", "y,a,b\nu,1,1\n")
    with pytest.raises(DataError, match=r"b\.csv has different columns than the first file: 'b'"):
        infer_input_spec(table(tmp_path), SplitConfig())
    assert len(infer_input_spec(table(tmp_path, columns=["a"]), SplitConfig()).columns) == 1
    write(tmp_path / "c.csv", "y,b\nu,1\n")
    with pytest.raises(DataError, match=r"c\.csv has no column 'a'"):
        infer_input_spec(table(tmp_path, columns=["a"]), SplitConfig())


def make_csv(path, rows):
    lines = [f"{label},g{group},{a!r},{b!r}" for label, group, a, b in rows]
    return write(path, "y,g,a,b\n" + "\n".join(lines) + "\n")


def random_rows(count):
    random = np.random.default_rng(5)
    return [(i % 4, i % 10, *random.random(2).round(6).tolist()) for i in range(count)]


def content(examples):
    return sorted((e["id"], e["label"], e["a"], e["b"]) for e in examples)


def test_runs_are_byte_identical_and_row_order_does_not_change_the_examples(tmp_path, ingest):
    rows = random_rows(200)
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    make_csv(tmp_path / "one" / "t.csv", rows)
    make_csv(tmp_path / "two" / "a.csv", rows[:40:-1])
    make_csv(tmp_path / "two" / "b.csv", rows[:41])
    first, second = (ingest(table(tmp_path / "one"), SplitConfig(seed=3)) for _ in range(2))
    assert first.files() == second.files()
    other = ingest(table(tmp_path / "two"), SplitConfig(seed=3))
    for name in ("train", "calibration", "test"):
        assert content(first.split(name)) == content(other.split(name))


def test_each_group_is_in_one_split(tmp_path, ingest):
    make_csv(tmp_path / "t.csv", random_rows(100))
    run = ingest(table(tmp_path / "t.csv", group="g", max_rejected=0), SplitConfig(by="group"))
    groups = {
        name: {(int(e["source"].decode().split(":")[1]) - 2) % 10 for e in run.split(name)}
        for name in ("train", "calibration", "test")
    }
    assert sum(len(found) for found in groups.values()) == 10
    assert run.reasons() == {}


def test_a_file_damaged_after_the_inference_of_columns_stops_the_run(tmp_path, ingest):
    path = make_csv(tmp_path / "t.csv", random_rows(100))
    inputs = infer_input_spec(table(path), SplitConfig())
    write(path, "y,a\nu,1\n")
    with pytest.raises(DataError, match=r"t\.csv has no column 'b'"):
        ingest(table(path), inputs=inputs)


@pytest.mark.parametrize("value", [1, True, "1", "true", "1.0"])
def test_equivalent_same_values_have_one_canonical_text(value):
    assert canonical_same_value(value) == "1"


def mixed_table():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(40, 2)).round(2)
    return pa.table(
        {
            "x": numbers[:, 0],
            "y": pa.array([f"c{row % 2}" for row in range(40)]),
            "code": pa.array([None if row == 7 else 4006381333001.0 for row in range(40)]),
            "big": numbers[:, 0] > 0,
            "gap": pa.array([None if row == 3 else row for row in range(40)]),
            "note": pa.array(["text"] * 40),
        }
    )


def test_a_table_gives_the_same_examples_in_every_format(tmp_path):
    table_of_cells = mixed_table()
    pa.csv.write_csv(table_of_cells, tmp_path / "t.csv")
    table_of_cells.to_pandas().to_csv(tmp_path / "p.csv", index=False)
    frame = table_of_cells.to_pandas()
    frame.to_csv(tmp_path / "d.csv", index=False, sep=";", decimal=",", encoding="utf-16")
    pq.write_table(table_of_cells, tmp_path / "t.parquet")
    pa.feather.write_feather(table_of_cells, tmp_path / "t.feather")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    found = {}
    for path in sorted(tmp_path.iterdir()):
        options = {"decimal": ","} if path.name == "d.csv" else {}
        data = table(path, **options)
        inputs = infer_input_spec(data, SplitConfig())
        (batch,) = read_vector_table(tmp_path, path.name, None, data, inputs, SplitConfig())
        features = batch.features.drop_columns(["source"])
        reasons = [reason for _, reason in batch.rejected]
        found[path.name] = (inputs, encode_examples(features), reasons)
    assert len(found) == 6
    expected = found["t.parquet"]
    assert [column.name for column in expected[0].columns] == ["x", "code", "big", "gap"]
    assert expected[2] == ["column 'gap' has no value", "column 'code' has no value"]
    assert len(expected[1]) == 38
    for name, result in found.items():
        assert result == expected, name


@pytest.mark.parametrize(
    ("content", "options", "match"),
    [
        (
            "y;a;b\nu;1,5;1\nv;2,25;2\n",
            {},
            r"the cells of 'a', such as '1,5', are not read as numbers. Set data.decimal: ','",
        ),
        (
            "y;a;b\nu;1.5;1\nv;2.25;2\n",
            {"decimal": ","},
            r"the cells of 'a', such as '1.5', are not read as numbers. Set data.decimal: '.'",
        ),
        (
            'y,a,b\nu,"1,234",1\nv,"5,678",2\n',
            {"columns": "a"},
            "Remove thousands separators, or set data.decimal: ','",
        ),
        (
            'y,a,b\nu,"1,234.5",1\nv,"5,678.25",2\n',
            {"columns": ["a*"]},
            r"such as '1,234.5', are not read as numbers. Remove thousands separators.$",
        ),
        (
            "y,a,b\nu,1 234,1\nv,5 678,2\n",
            {},
            r"Remove thousands separators\.$",
        ),
    ],
)
def test_numbers_in_another_notation_are_named(tmp_path, content, options, match):
    with pytest.raises(ConfigError, match=match):
        read(write(tmp_path / "t.csv", content), **options)


def test_a_column_in_another_notation_can_be_left_out(tmp_path):
    path = write(tmp_path / "t.csv", "y;a;b\nu;1,5;1\nv;2,25;2\n")
    assert [row["b"] for row in read(path, columns=["b"])[0]] == [1.0, 2.0]


def test_an_encoding_that_does_not_fit_stops_before_the_run(tmp_path):
    path = write(tmp_path / "t.csv", "y,a\nAnna,1\nJörg,2\n".encode("cp1252"))
    with pytest.raises(DataError, match=r"not UTF-8 \(line 3: .*\); cp1252 fits, and reads 'Jörg'"):
        read(path)
    labels = [row["label"].decode() for row in read(path, encoding="cp1252")[0]]
    assert labels == ["Anna", "Jörg"]


@pytest.mark.parametrize("encoding", ["cp9999", "hex", "idna", "punycode", "undefined"])
def test_an_unknown_encoding_is_refused_with_the_configuration(encoding):
    with pytest.raises(ValueError, match=f"unknown encoding '{encoding}'"):
        table("t.csv", encoding=encoding)


@pytest.mark.parametrize("delimiter", ['"', "\n", "\r", "\0", "é"])
def test_a_delimiter_that_cannot_divide_cells_is_refused_with_the_configuration(delimiter):
    with pytest.raises(ValueError, match="name one ASCII character"):
        table("t.csv", delimiter=delimiter)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("# exported in 2026\nu,1,\nv,2,\n", "fields is 1 in row 1 .* but 3 in most rows"),
        ("y,a\nu,1,\nv,2,\n", "fields is 2 in row 1 .* but 3 in most rows"),
        ('y,a\n"u,1\nv,2\n', "All 2 rows .* such as t.csv:2: "),
    ],
)
def test_a_file_of_malformed_rows_is_named_with_the_first(tmp_path, text, match):
    path = write(tmp_path / "t.csv", text)
    with pytest.raises(DataError, match=match):
        infer_input_spec(table(path, label="y"), SplitConfig())


def test_missing_values_are_configured(tmp_path):
    path = write(tmp_path / "t.csv", "y,a\nnone,1\nNA,2\nu,-999\nv,NA\n" + "w,3\n" * 20)
    rows, rejected = read(path, missing=["-999"])
    assert [row["label"] for row in rows] == [b"none", b"NA", *[b"w"] * 20]
    assert rejected == {
        "t.csv:4": "column 'a' has no value",
        "t.csv:5": "column 'a' is not a number",
    }


def test_partitions_give_labels_and_are_no_part_of_the_vector(tmp_path):
    for label, year in (("u", 2025), ("v", 2026)):
        folder = tmp_path / f"year={year}" / f"y={label}"
        folder.mkdir(parents=True)
        pq.write_table(pa.table({"a": [float(year)], "b": [2.0]}), folder / "part-0.parquet")
    data = table(tmp_path, group="year")
    inputs = infer_input_spec(data, SplitConfig(by="group"))
    assert [column.name for column in inputs.columns] == ["a", "b"]
    without_group = infer_input_spec(table(tmp_path), SplitConfig())
    assert without_group == inputs
    names = [file.name for file in find_files(data).files]
    assert names == ["year=2025/y=u/part-0.parquet", "year=2026/y=v/part-0.parquet"]
    batches = [
        next(iter(read_vector_table(tmp_path, name, None, data, inputs, SplitConfig(by="group"))))
        for name in names
    ]
    assert [batch.features["label"][0].as_py() for batch in batches] == [[b"u"], [b"v"]]
    assert [batch.split_keys for batch in batches] == [[b"2025"], [b"2026"]]


def test_a_folder_of_another_format_is_named(tmp_path):
    np.savez(tmp_path / "t.npz", x=np.zeros(2))
    with pytest.raises(DataError, match=r"t\.npz is an archive of NumPy arrays"):
        find_files(table(tmp_path))


def test_a_single_number_in_a_column_of_lists_is_rejected(tmp_path):
    good = ['{"y": "u", "v": [1, 2]}', '{"y": "v", "v": [3, 4]}'] * 500
    lines = [*good, '{"y": "v", "v": 7}', '{"y": "v", "v": [3, 4]}']
    rows, rejected = read(write(tmp_path / "t.jsonl", "\n".join(lines)))
    assert len(rows) == 1001
    assert rejected == {
        "t.jsonl:1001": "column 'v' has a different number of values than the first row"
    }


@pytest.mark.parametrize("name", [b"caf\xe9.csv", b"k=\xe9/t.csv", b"\xe9.tfrecord"])
def test_a_file_name_that_is_not_utf8_is_an_error(tmp_path, name):
    path = os.path.join(os.fsencode(tmp_path), name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(b"y,a\nu,1\nv,2\n")
    data = table(tmp_path)
    if name.endswith(b".tfrecord"):
        data = TFRecords(kind="tfrecord", path=str(tmp_path), label="y", vector="a")
    with pytest.raises(DataError, match=r"\\xe9.* is not UTF-8. Rename it"):
        infer_input_spec(data, SplitConfig())


def test_what_is_no_regular_file_is_ignored_with_the_reason(tmp_path):
    write(tmp_path / "t.csv", "y,a\nu,1\nv,2\n")
    (tmp_path / "broken.csv").symlink_to("nowhere")
    (tmp_path / "k=1").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.csv")
    assert dict(find_files(table(tmp_path)).ignored) == {
        "broken.csv": "a broken symbolic link",
        "k=1": "a symbolic link to a folder",
        "pipe.csv": "not a regular file",
    }
