import codecs
import csv
import gzip
import io
import re

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.common.table_rows import read_schema, read_table_rows
from diptych.components.common.tables.text_format import (
    TextSettings,
    adapt_settings,
    check_encoding,
    detect_text_format,
    find_fitting_encoding,
    has_suspicious_header,
    looks_like_data,
    uses_decimal_comma,
)
from diptych.schemas.errors import DataError

NAMES = {
    "cp1252": ["Jörg", "Zoë", "Müller", "Ångström"],
    "cp1251": ["Анна", "Борис", "Сергей", "Елена"],
    "shift_jis": ["田中", "佐藤", "さくら", "カタカナ"],
    "cp1250": ["Łukasz", "Žižka", "Šárka", "Čapek"],
    "big5": ["張偉", "王芳", "李娜"],
}


def write(path, content, encoding="utf-8"):
    path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
    return path


def cells_of(path, columns, text_settings=None):
    text_settings = text_settings or TextSettings()
    rows = [rows.batch for rows in read_table_rows(path, columns, settings=text_settings)]
    return [[cell.decode() for cell in row.values()] for batch in rows for row in batch.to_pylist()]


@pytest.mark.parametrize("encoding", NAMES)
def test_another_encoding_is_named_with_the_line_and_the_text(tmp_path, encoding):
    lines = ["x,name", *("1,Anna" for _ in range(100_000)), *(f"1,{n}" for n in NAMES[encoding])]
    path = write(tmp_path / "t.csv", "\n".join(lines), encoding)
    first = NAMES[encoding][0]
    with pytest.raises(DataError) as error:
        check_encoding(path, TextSettings())
    assert f"t.csv is not UTF-8 (line 100002: {first.encode(encoding)!r}); {encoding} fits" in str(
        error.value
    )
    assert str(error.value).endswith(f"reads {first!r}: set data.encoding: {encoding}")
    assert find_fitting_encoding(path) == encoding
    check_encoding(path, TextSettings(encoding=encoding))
    read = cells_of(path, ["name"], TextSettings(encoding=encoding))
    assert [name for (name,) in read[100_000:]] == NAMES[encoding]


def test_characters_across_blocks_are_no_error(tmp_path):
    for offset in range(4):
        path = write(tmp_path / f"{offset}.csv", "x" * (2**20 - offset) + "€\n" + "ab\n" * 10)
        check_encoding(path, TextSettings())


def test_a_cut_character_at_the_end_is_an_error(tmp_path):
    path = write(tmp_path / "t.csv", "x\n€".encode()[:-1])
    with pytest.raises(DataError, match=r"t\.csv is not UTF-8 \(line 2: "):
        check_encoding(path, TextSettings())


def test_a_wrong_setting_of_the_encoding_is_an_error(tmp_path):
    path = write(tmp_path / "t.csv", "x\n1\n€\n")
    with pytest.raises(DataError, match=r"t\.csv is not ascii \(line 3: "):
        check_encoding(path, TextSettings(encoding="ascii"))
    with pytest.raises(DataError, match=r"t\.csv is not ascii: ordinal not in range"):
        cells_of(path, ["x"], TextSettings(encoding="ascii"))


@pytest.mark.parametrize(
    ("encoding", "mark"),
    [
        ("utf-8", codecs.BOM_UTF8),
        ("utf-16-le", codecs.BOM_UTF16_LE),
        ("utf-16-be", codecs.BOM_UTF16_BE),
        ("utf-32-le", codecs.BOM_UTF32_LE),
        ("utf-16-le", b""),
        ("utf-16-be", b""),
    ],
)
def test_unicode_is_detected(tmp_path, encoding, mark):
    path = write(tmp_path / "t.csv", mark + "x;name\n1;Zoë\n2;田中\n".encode(encoding))
    check_encoding(path, TextSettings())
    assert read_schema(path).names == ["x", "name"]
    assert cells_of(path, ["x", "name"]) == [["1", "Zoë"], ["2", "田中"]]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@settings(deadline=None, max_examples=30)
@given(
    rows=st.lists(
        st.lists(
            st.text(st.sampled_from(",;\t|\"'a1 .\n"), min_size=1, max_size=8),
            min_size=2,
            max_size=2,
        ),
        min_size=3,
        max_size=8,
    )
)
def test_quoted_delimiters_do_not_mislead(tmp_path_factory, delimiter, rows):
    text = io.StringIO()
    writer = csv.writer(text, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerow(["name, first; last", "x", "y"])
    writer.writerows([*row, "1"] for row in rows)
    path = write(tmp_path_factory.mktemp("csv") / "t.csv", text.getvalue())
    assert detect_text_format(path).delimiter == delimiter
    assert read_schema(path).names == ["name, first; last", "x", "y"]
    read = pd.concat([rows.batch.to_pandas() for rows in read_table_rows(path, ["x"])])
    assert [cell.decode() for cell in read["x"]] == [row[1] for row in rows]


@pytest.mark.parametrize(
    ("text", "cells"),
    [
        # The number of delimiters in the header alone would mislead.
        ("a,b,c;x\n1,2,3;4\n5,6,7;8\n", ["1", "5"]),
        ('"Doe, Jane, Dr.";1;c\n', ['"Doe, Jane, Dr."', "1", "c"]),
        ('title;w\n"Doe, Jane, Dr.";1\n"Roe, Max, Dr.";2\n', ["1", "2"]),
        ('title;w\n\\"Doe, Jane\\; Dr.\\";1\n\\"Roe\\";2\n', ["1", "2"]),
        ('title,w\n"say \\"hi, you\\"",1\n"b",2\n', ["1", "2"]),
        ('path,w\n"C:\\",1\n"D:\\",2\n', ["1", "2"]),
    ],
)
def test_delimiters_of_unusual_files(tmp_path, text, cells):
    path = write(tmp_path / "t.csv", text)
    names = read_schema(path).names
    if len(cells) == 3:
        assert names == ["Doe, Jane, Dr.", "1", "c"]
    elif names[-1] == "w":
        assert cells_of(path, ["w"]) == [[cell] for cell in cells]
    else:
        assert names == ["a", "b", "c;x"]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@settings(deadline=None, max_examples=30)
@given(data=st.data(), width=st.integers(1, 5), at=st.integers(0, 5))
def test_decimal_commas_without_a_header_do_not_mislead(
    tmp_path_factory, delimiter, data, width, at
):
    number = st.tuples(st.integers(-99, 99), st.integers(0, 99)).map(lambda n: f"{n[0]},{n[1]:02}")
    row = st.lists(number, min_size=width, max_size=width)
    rows = data.draw(st.lists(row, min_size=2, max_size=6))
    rows = [[*row[:at], name, *row[at:]] for row, name in zip(rows, "abcdef", strict=False)]
    text = "".join(f"{delimiter.join(row)}\n" for row in rows)
    path = write(tmp_path_factory.mktemp("csv") / "t.csv", text)
    text_settings = TextSettings(header=False, decimal=",")
    names = read_schema(path, text_settings).names
    assert cells_of(path, names, text_settings) == rows


def test_the_delimiter_can_be_set(tmp_path):
    path = write(tmp_path / "t.csv", "a:b\n1:2\n")
    assert cells_of(path, ["b"], TextSettings(delimiter=":")) == [["2"]]


def test_rows_without_a_header_are_numbered_from_one(tmp_path):
    path = write(tmp_path / "t.csv", "5.1,setosa\n4.9,virginica\n")
    text_settings = TextSettings(header=False)
    assert read_schema(path, text_settings).names == ["c1", "c2"]
    (rows,) = read_table_rows(path, ["c2"], settings=text_settings)
    assert rows.row_numbers.tolist() == [1, 2]
    assert cells_of(path, ["c2"], text_settings) == [["setosa"], ["virginica"]]


@pytest.mark.parametrize(
    ("header", "is_data"),
    [
        ("5.1,3.5,setosa", True),
        ("x,y,label", False),
        ("x,3.5,label", False),
        ("0,1,label", False),  # pandas numbers columns
        ("1,2,label", False),
        ("5,1,label", True),
    ],
)
def test_a_header_that_looks_like_data(tmp_path, header, is_data):
    path = write(tmp_path / "t.csv", f"{header}\n5.0,3.4,virginica\n4.4,2.9,setosa\n")
    assert has_suspicious_header(path, TextSettings()) == is_data
    assert not has_suspicious_header(path, TextSettings(header=False))


def test_pixel_columns_named_by_number_are_a_header():
    header = ["label", *map(str, range(784))]
    assert not looks_like_data(header, [["a", *["7"] * 784]] * 3)


@pytest.mark.parametrize(
    ("text", "comma"),
    [
        ("x;y\n1,5;2\n-0,25;3,5\n", True),
        ("x;y\n1.5;2\n0.25;3.5\n", False),
        ("x;y\n1;2\n", False),
        ("x;y\n1,234;2\n5,678;3\n", False),  # may be thousands
        ('x,y\n"1,5","2,25"\n', True),
    ],
)
def test_a_decimal_comma_is_detected(tmp_path, text, comma):
    assert uses_decimal_comma(write(tmp_path / "t.csv", text), TextSettings()) == comma


@pytest.mark.parametrize(
    ("trained", "text", "expected"),
    [
        (TextSettings(), "a,b\n1.5,2\n", (None, ".")),
        (TextSettings(), "b;a\n1,5;2\n", (None, ",")),
        (TextSettings(delimiter=";", decimal=","), "a;b\n1,5;2\n", (";", ",")),
        (TextSettings(delimiter=";", decimal=","), "a;b\n1;2\n", (";", ",")),
        (TextSettings(delimiter=";", decimal=","), "a,b\n1.5,2\n", (None, ".")),
        (TextSettings(delimiter="\t"), "a|b\n1.5|2\n", (None, ".")),
    ],
)
def test_files_of_another_program_are_adapted_to(tmp_path, trained, text, expected):
    adapted = adapt_settings(write(tmp_path / "t.csv", text), trained, ["a", "b"])
    assert (adapted.delimiter, adapted.decimal or ".") == expected


def test_the_encoding_of_another_file_is_guessed(tmp_path):
    path = write(tmp_path / "t.csv", "a,name\n1,Jörg\n2,Zoë\n", "cp1252")
    for encoding in (None, "shift_jis", "utf-8"):
        adapted = adapt_settings(path, TextSettings(encoding=encoding), ["a"])
        assert cells_of(path, ["name"], adapted) == [["Jörg"], ["Zoë"]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("trained", ["cp1252", "latin-1", "shift_jis"])
def test_a_unicode_file_is_read_as_such_after_training_on_another_encoding(
    tmp_path, trained, encoding
):
    path = write(tmp_path / "t.csv", "a,name\n1,Jörg\n2,Zoë\n", encoding)
    adapted = adapt_settings(path, TextSettings(encoding=trained), ["a"])
    assert cells_of(path, ["name"], adapted) == [["Jörg"], ["Zoë"]]


def test_an_encoding_of_seven_bits_is_kept(tmp_path):
    path = write(tmp_path / "t.csv", "a,name\n1,東京\n", "iso2022_jp")
    adapted = adapt_settings(path, TextSettings(encoding="iso2022_jp"), ["a"])
    assert cells_of(path, ["name"], adapted) == [["東京"]]


def test_without_a_header_the_names_of_the_columns_may_appear(tmp_path):
    trained = TextSettings(header=False)
    without = write(tmp_path / "t.csv", "1,2\n3,4\n")
    assert not adapt_settings(without, trained, ["c1", "c2"]).header
    named = write(tmp_path / "n.csv", "c1,c2\n3,4\n")
    assert adapt_settings(named, trained, ["c1", "c2"]).header


def test_compressed_files_are_checked_too(tmp_path):
    path = write(tmp_path / "t.csv.gz", gzip.compress("x\nJörg\n".encode("cp1252")))
    with pytest.raises(DataError, match=r"line 2.*cp1252 fits"):
        check_encoding(path, TextSettings())


@pytest.mark.parametrize(
    ("header", "row", "found"),
    [
        ("sep=;", "1;2;u", "2 in row 1 ('sep=;'), but 3 in most rows, such as row 2 ('1;2;u')"),
        ("# exported", "1,2,u", "1 in row 1 ('# exported'), but 3 in most rows"),
        ("title;a;label", "'Doe; Jane';1;u", "3 in row 1 ('title;a;label'), but 4 in most rows"),
    ],
)
def test_a_first_row_with_another_number_of_fields_is_an_error(tmp_path, header, row, found):
    path = write(tmp_path / "t.csv", "\n".join([header, *[row] * 9]))
    with pytest.raises(DataError, match=re.escape(found)) as error:
        read_schema(path)
    assert str(error.value).endswith(
        "Remove lines above the table, correct row 1, or set data.delimiter."
    )


def test_some_rows_with_another_number_of_fields_are_no_error(tmp_path):
    path = write(tmp_path / "t.csv", "a,b\n" + "1,2\n" * 5 + "1,2,3\n" * 5)
    assert read_schema(path).names == ["a", "b"]
    # A very long cell ends the sample of the first rows.
    path = write(tmp_path / "long.csv", f"a,b\n{'x' * 140_000},2\n")
    assert cells_of(path, ["b"]) == [["2"]]
