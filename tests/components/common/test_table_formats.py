import datetime
import gzip
import io
import json
import pickle
import sqlite3
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.common.cell_values import (
    MISSING,
    NOT_TEXT,
    OK,
    as_checked_text,
    as_floats,
    as_text,
)
from diptych.components.common.table_rows import (
    first_row_number,
    is_partition_key,
    read_schema,
    read_table_rows,
)
from diptych.components.common.tables import json_rows
from diptych.components.common.tables.file_formats import find_foreign_file
from diptych.schemas.errors import DataError


def write_csv(table, path):
    pa.csv.write_csv(table, path)


def write_json_lines(table, path):
    lines = [json.dumps(row, default=str, ensure_ascii=False) for row in table.to_pylist()]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_utf16(table, path):
    buffer = io.BytesIO()
    pa.csv.write_csv(table, buffer, pa.csv.WriteOptions(delimiter=";"))
    path.write_bytes(buffer.getvalue().decode().encode("utf-16"))


def write_stream(table, path):
    with pa.ipc.new_stream(path, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)


WRITERS = {
    "t.csv": write_csv,
    "t.tsv": write_utf16,
    "t.arrow": write_stream,
    "t.parquet": lambda table, path: pq.write_table(table, path, row_group_size=2),
    "t.feather": lambda table, path: pa.feather.write_feather(table, path, chunksize=2),
    "t.jsonl": write_json_lines,
}


def read_column(path, column, batch_size=None):
    return [
        (number, text)
        for rows in read_table_rows(path, [column], batch_size=batch_size)
        for number, text in zip(
            rows.row_numbers.tolist(),
            as_text(rows.batch.column(column), rows.cells).to_pylist(),
            strict=True,
        )
    ]


@settings(deadline=None, max_examples=60)
@given(
    st.one_of(
        st.lists(st.integers(-(2**53), 2**53), min_size=1, max_size=5).map(pa.array),
        st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5).map(
            lambda cells: pa.array(cells, pa.float64())
        ),
        st.lists(st.booleans(), min_size=1, max_size=5).map(pa.array),
        st.lists(st.sampled_from(["u", " v ", "NA", "1.0", "", "2026-01-02", "é,\n"]), min_size=1)
        .map(lambda cells: pa.array(cells, pa.string())),
        st.lists(st.datetimes(datetime.datetime(1900, 1, 1)), min_size=1, max_size=5).map(
            lambda cells: pa.array(cells, pa.timestamp("us"))
        ),
    )
)  # fmt: skip
def test_a_value_has_one_text_in_every_format(tmp_path_factory, cells):
    folder = tmp_path_factory.mktemp("formats")
    table = pa.table({"x": cells, "row": range(len(cells))})
    texts = {}
    for name, write in WRITERS.items():
        write(table, folder / name)
        rows = read_column(folder / name, "x")
        first = first_row_number(folder / name)
        assert [number for number, _ in rows] == list(range(first, first + len(cells)))
        texts[name] = [text for _, text in rows]
    assert texts == dict.fromkeys(WRITERS, texts["t.parquet"])


def test_a_large_table_is_read_in_blocks_with_row_numbers(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "_BLOCK_BYTES", 1000)
    numbers = np.arange(1000)
    table = pa.table({"x": numbers, "odd": numbers % 2 == 1})
    for name, write in WRITERS.items():
        write(table, tmp_path / name)
        first = first_row_number(tmp_path / name)
        assert read_column(tmp_path / name, "x", batch_size=7) == [
            (number + first, str(number)) for number in range(1000)
        ]


def test_json_cells_of_different_types_are_read_like_those_of_csv(tmp_path, monkeypatch):
    monkeypatch.setattr(json_rows, "_BLOCK_BYTES", 40)
    cells = [1, 1.0, "1", "a", None, True, 2.5, "2026-01-02", "2026-01-02T03:04:05Z", [1], {}]
    lines = [json.dumps({"x": cell}) for cell in cells]
    lines[2:2] = ["", "not json", '{"y": 1}', "[1]"]
    (tmp_path / "t.jsonl").write_text("\n".join(lines), encoding="utf-8")
    rows = list(read_table_rows(tmp_path / "t.jsonl", ["x"]))
    malformed = [item for row in rows for item in row.malformed]
    assert malformed == [(4, "line is not a JSON object"), (6, "line is not a JSON object")]
    texts = {}
    for row in rows:
        if not pa.types.is_nested(row.batch.column("x").type):
            column = as_text(row.batch.column("x")).to_pylist()
            texts |= dict(zip(row.row_numbers.tolist(), column, strict=True))
    expected = {1: "1", 2: "1", 5: None, 7: "1", 8: "a", 9: None, 10: "True", 11: "2.5"}
    expected |= {12: "2026-01-02", 13: "2026-01-02 03:04:05Z"}
    assert {number: texts[number] for number in expected} == expected


def test_json_lines_can_be_compressed_and_hold_vectors(tmp_path):
    path = tmp_path / "t.jsonl.gz"
    path.write_bytes(gzip.compress(b'{"v": [1, 2.5], "y": "a"}\n{"v": [3, 4], "y": "b"}\n'))
    (rows,) = read_table_rows(path, ["v", "y"])
    assert rows.batch.column("v").to_pylist() == [[1, 2.5], [3, 4]]


def test_other_json_is_an_error(tmp_path):
    path = tmp_path / "t.jsonl"
    for text, problem in (
        ('[\n{"y": 1},\n{"y": 2}\n]\n', "it starts with a list"),
        ('{\n"y": 1\n}\n', "line 1 is not a JSON object"),
        ("x,y\n1,2\n", "line 1 is not a JSON object"),
    ):
        path.write_text(text)
        with pytest.raises(DataError, match=f"is not JSON Lines: {problem}"):
            read_schema(path)


def test_folders_of_partitions_are_columns(tmp_path):
    folder = tmp_path / "year=2026" / "site=S%C3%A3o%20Paulo"
    folder.mkdir(parents=True)
    path = folder / "part-0.parquet"
    pq.write_table(pa.table({"x": [1, 2]}), path)
    schema = read_schema(path)
    assert schema.names == ["x", "year", "site"]
    assert [is_partition_key(field) for field in schema] == [False, True, True]
    (rows,) = read_table_rows(path, ["site", "x", "year"])
    assert rows.batch.to_pylist() == [
        {"site": "São Paulo", "x": 1, "year": "2026"},
        {"site": "São Paulo", "x": 2, "year": "2026"},
    ]
    (rows,) = read_table_rows(path, ["year"])
    assert rows.batch.to_pylist() == [{"year": "2026"}] * 2


def test_a_column_of_the_file_has_priority_over_its_folder(tmp_path):
    (tmp_path / "x=7").mkdir()
    path = tmp_path / "x=7" / "t.csv"
    path.write_text("x,y\n1,2\n")
    assert read_schema(path).names == ["x", "y"]
    assert read_column(path, "x") == [(2, "1")]


def test_a_null_partition_is_missing(tmp_path):
    (tmp_path / "y=__HIVE_DEFAULT_PARTITION__").mkdir()
    path = tmp_path / "y=__HIVE_DEFAULT_PARTITION__" / "t.csv"
    path.write_text("x\n1\n")
    assert read_column(path, "y") == [(2, None)]


def zipped(*names):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "x")
    return buffer.getvalue()


def sqlite():
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (x)")
    return connection.serialize()


def numpy_archive():
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros(2), y=np.zeros(2))
    return buffer.getvalue()


class Trap:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


FOREIGN = {
    "xlsx": (zipped("xl/workbook.xml", "[Content_Types].xml"), "an Excel workbook (.xlsx)"),
    "ods": (zipped("mimetype", "content.xml"), "an OpenDocument spreadsheet"),
    "zip": (zipped("a.csv"), "a zip archive. Unpack it"),
    "damaged-zip": (zipped("a.csv")[:20], "a damaged zip archive"),
    "npz": (numpy_archive(), "an archive of NumPy arrays"),
    "npy": (b"\x93NUMPY\x01\x00", "a NumPy array"),
    "xls": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls)"),
    "h5": (b"\x89HDF\r\n\x1a\n", "an HDF5 file"),
    "sqlite": (sqlite(), "an SQLite database"),
    "pickle": (pickle.dumps(Trap()), "a Python pickle"),
    "gz": (gzip.compress(b"x\n1\n"), "compressed with gzip. Add .gz to its name"),
}


@pytest.mark.parametrize("kind", FOREIGN)
@pytest.mark.parametrize("extension", [".csv", ".data"])
def test_other_formats_are_named_by_content_with_a_remedy(tmp_path, kind, extension):
    content, name = FOREIGN[kind]
    path = tmp_path / f"table{extension}"
    path.write_bytes(content)
    with pytest.raises(DataError) as error:
        read_schema(path)
    assert f"table{extension} is {name}" in str(error.value)
    assert find_foreign_file(tmp_path).startswith(f"table{extension} is {name}")


def test_parquet_and_arrow_are_recognized_by_content(tmp_path):
    table = pa.table({"x": [1, 2]})
    pq.write_table(table, tmp_path / "a.csv")
    pa.feather.write_feather(table, tmp_path / "b.parquet")
    for name in ("a.csv", "b.parquet"):
        assert read_column(tmp_path / name, "x") == [(1, "1"), (2, "2")]
    (tmp_path / "c.feather").write_text("x\n1\n")
    with pytest.raises(DataError, match=r"c\.feather cannot be read as Arrow IPC: its content is"):
        read_schema(tmp_path / "c.feather")


@pytest.mark.parametrize("num_bytes", [4, 20, 1000])
def test_a_damaged_arrow_stream_is_an_error(tmp_path, num_bytes):
    path = tmp_path / "t.arrow"
    write_stream(pa.table({"x": np.arange(1000)}), path)
    path.write_bytes(path.read_bytes()[:num_bytes])
    with pytest.raises(DataError, match=r"cannot be read as Arrow IPC|is damaged"):
        read_column(path, "x")


def test_a_damaged_arrow_file_is_an_error(tmp_path):
    path = tmp_path / "t.feather"
    pa.feather.write_feather(pa.table({"x": np.arange(100_000)}), path, compression="zstd")
    content = path.read_bytes()
    path.write_bytes(content[:200])
    with pytest.raises(DataError, match="cannot be read as Arrow IPC"):
        read_schema(path)
    path.write_bytes(content[:300] + bytes(1000) + content[1300:])
    with pytest.raises(DataError, match="is damaged"):
        list(read_table_rows(path, ["x"]))


@pytest.mark.parametrize("name", ["t.parquet", "t.feather"])
@pytest.mark.parametrize("text", [pa.string(), pa.large_string()])
def test_text_that_is_not_utf8_is_a_problem_of_its_row(tmp_path, name, text):
    cells = pa.array([b"wren", b"w\xff", b"owl"], pa.large_binary()).cast(pa.binary())
    cells = cells.view(pa.string()).cast(text)
    WRITERS[name](pa.table({"label": cells}), tmp_path / name)
    batches = list(read_table_rows(tmp_path / name, ["label"]))
    checked = [as_checked_text(rows.batch["label"]) for rows in batches]
    assert [cell for text, _ in checked for cell in text.to_pylist()] == ["wren", None, "owl"]
    assert np.concatenate([problems for _, problems in checked]).tolist() == [OK, NOT_TEXT, OK]


@pytest.mark.parametrize("name", ["t.parquet", "t.feather"])
def test_text_in_lists_and_names_that_are_not_utf8_are_errors(tmp_path, name):
    path = tmp_path / name
    text = pa.array([b"w\xff"]).view(pa.string())
    WRITERS[name](pa.table({"tags": pa.ListArray.from_arrays([0, 1], text)}), path)
    with pytest.raises(DataError, match=r"is damaged: .*Invalid UTF8"):
        list(read_table_rows(path, ["tags"]))
    WRITERS[name](pa.table({"tags": ["a"]}), path)
    path.write_bytes(path.read_bytes().replace(b"tags", b"t\xffgs"))
    with pytest.raises(DataError, match=r"cannot be read as .*invalid start byte"):
        read_schema(path)


@pytest.mark.parametrize("compression", ["gz", "bz2", "zst"])
def test_compressed_text_is_read(tmp_path, compression):
    for name in (f"t.csv.{compression}", f"t.jsonl.{compression}"):
        path = tmp_path / name
        text = b"x\n1\n" if "csv" in name else b'{"x": 1}\n'
        with pa.output_stream(str(path)) as stream:
            stream.write(text)
        assert [text for _, text in read_column(path, "x")] == ["1"]


def test_missing_and_boolean_cells_are_equal_in_every_format(tmp_path):
    frame = pd.DataFrame({"n": [1.5, None, 2], "b": [True, False, None]})
    table = pa.Table.from_pandas(frame, preserve_index=False)
    for name, write in WRITERS.items():
        write(table, tmp_path / name)
        batches = [rows.batch for rows in read_table_rows(tmp_path / name, ["n", "b"])]
        for column, expected in (("n", [1.5, np.nan, 2]), ("b", [1, 0, np.nan])):
            read = [as_floats(batch.column(column)) for batch in batches]
            np.testing.assert_array_equal(np.concatenate([cells for cells, _ in read]), expected)
            problems = np.concatenate([problems for _, problems in read])
            np.testing.assert_array_equal(problems == MISSING, np.isnan(expected))


def read_lines(path, *lines):
    """Write JSON Lines; return the texts of x by line, and the malformed lines."""
    path.write_bytes(b"\n".join(lines))
    texts, malformed = {}, {}
    for rows in read_table_rows(path, ["x"]):
        cells = as_text(rows.batch.column("x")).to_pylist()
        texts |= dict(zip(rows.row_numbers.tolist(), cells, strict=True))
        malformed |= dict(rows.malformed)
    return texts, malformed


@pytest.mark.parametrize("other", [b"1.5", b'"a"', b"3"])
def test_integers_of_json_are_exact_whatever_else_is_in_the_column(tmp_path, other):
    # Arrow reads integers of more than 64 bits, or in a column with a fraction, as floats.
    numbers = [2**53 + 1, 2**53, 12345678901234567890, 12345678901234567891, -(2**63) - 1]
    lines = [b'{"x": %d}' % number for number in numbers]
    texts, malformed = read_lines(tmp_path / "t.jsonl", *lines, b'{"x": %s}' % other)
    assert list(texts.values()) == [*map(str, numbers), other.decode().strip('"')]
    assert not malformed


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"null", "line is not a JSON object"),
        (b'{"x": "\xff"}', "line is not text in UTF-8"),
        (b'{"x": 1, "\xff": 1}', "line is not text in UTF-8"),
        (b'{"x": "\\ud83d"}', "line is not text in UTF-8"),
        (b'{"x": %s}' % (b"[" * 100_000 + b"]" * 100_000), "line has more than 100 nested levels"),
        (b'{"x": %s1%s}' % (b'{"y":' * 500, b"}" * 500), "line has more than 100 nested levels"),
    ],
    ids=["null", "bytes", "key", "surrogate", "lists", "objects"],
)
@pytest.mark.parametrize("at", [0, 1])
def test_a_line_that_is_no_object_does_not_hide_the_others(tmp_path, line, reason, at):
    lines = [b'{"x": "a"}', b'{"x": "b"}']
    lines.insert(at, line)
    texts, malformed = read_lines(tmp_path / "t.jsonl", *lines)
    assert malformed == {at + 1: reason}
    assert list(texts.values()) == ["a", "b"]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32"])
def test_json_lines_in_another_encoding_are_an_error(tmp_path, encoding):
    (tmp_path / "t.jsonl").write_bytes('{"x": 1}\n{"x": 2}\n'.encode(encoding))
    with pytest.raises(DataError, match=f"is {encoding}, but JSON Lines are UTF-8"):
        read_schema(tmp_path / "t.jsonl")


def rows_of_csv(path, lines):
    path.write_text("\n".join(lines) + "\n")
    rows = list(read_table_rows(path, ["y", "a"]))
    cells = [cell for row in rows for cell in as_text(row.batch.column("y")).to_pylist()]
    return cells, [item for row in rows for item in row.malformed]


def test_rows_in_an_open_quote_are_not_lost(tmp_path):
    lines = ["y,a,text", *(f"u{number},{number},x" for number in range(20))]
    in_quote = "row is inside a quote that an earlier row opens and does not close"
    lines[5] = f'"{lines[5]}'
    # Up to the end of the file.
    cells, malformed = rows_of_csv(tmp_path / "t.csv", lines)
    assert cells == ["u0", "u1", "u2", "u3"]
    assert malformed == [(6, "row does not have 3 fields"), *[(6, in_quote)] * 15]
    # Up to a cell that ends with a quote, so that the row has too few fields.
    lines[15] = f'{lines[15]}"'
    cells, malformed = rows_of_csv(tmp_path / "t.csv", lines)
    assert cells == [f"u{number}" for number in range(20) if not 4 <= number <= 14]
    assert malformed == [(6, "row does not have 3 fields"), *[(6, in_quote)] * 10]
    # Up to another stray quote, so that the row seems to have the right number of fields.
    lines[15] = '"u14,14,x'
    cells, malformed = rows_of_csv(tmp_path / "t.csv", lines)
    assert cells == [f"u{number}" for number in range(20) if not 4 <= number <= 14]
    assert (
        malformed
        == [(6, "quote that is opened in a cell is not closed there")] + [(6, in_quote)] * 10
    )


def test_line_breaks_in_quotes_are_no_lost_rows(tmp_path):
    text = "a long remark, with commas,\nand three lines,\nall of them in quotes"
    lines = ["y,a,text", f'u,1,"{text}"', f'"{text}",2,v', f'"{text}",3']
    cells, malformed = rows_of_csv(tmp_path / "t.csv", lines)
    assert cells == ["u", text]
    assert malformed == [(4, "row does not have 3 fields")]


@pytest.mark.parametrize(
    "text", ["2\t4\nA\t1\t3\nA\t1\tB\t2\n", "1\nAda L\t1\t3\n", "9 3\nA 1 B 2\n"]
)
def test_a_list_of_pairs_of_lfw_is_no_table(tmp_path, text):
    (tmp_path / "pairs.txt").write_text(text)
    with pytest.raises(DataError, match=r"Labeled Faces in the Wild.*set evaluate\.pairs"):
        read_schema(tmp_path / "pairs.txt")


@pytest.mark.parametrize("text", ["1\t2\n3\t4\n", "5\n7\n", "1 2\n3 4\n5 6\n"])
def test_a_table_of_integers_is_no_list_of_pairs(tmp_path, text):
    (tmp_path / "t.csv").write_text(text)
    assert read_schema(tmp_path / "t.csv").names
