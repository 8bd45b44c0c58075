import datetime
import decimal
import io
import unicodedata

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from diptych.components.common import cell_values as values
from diptych.components.common.cell_values import CellFormat, as_checked_text, as_floats, as_text
from diptych.components.common.label_text import normalize_text
from diptych.schemas.errors import DataError

TYPES = [
    (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
    (pa.uint64(), st.integers(0, 2**64 - 1)),
    (pa.float64(), st.floats(allow_nan=False, allow_infinity=False)),
    (pa.float32(), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    (pa.float64(), st.integers(-(2**63), 2**63).map(float)),
    (pa.decimal128(12, 4), st.decimals("-99999999", "99999999", places=4)),
    (pa.bool_(), st.booleans()),
    (pa.string(), st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"))),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), st.datetimes(datetime.datetime(1700, 1, 1))),
    (pa.time64("us"), st.times()),
]


def texts_of_csv(text):
    """Return the canonical texts of the cells of a CSV column, read as bytes."""
    options = pa.csv.ConvertOptions(column_types={"x": pa.binary()}, check_utf8=False)
    table = pa.csv.read_csv(io.BytesIO(text), convert_options=options)
    return as_text(table["x"].combine_chunks()).to_pylist()


@settings(deadline=None)
@given(data=st.data())
@pytest.mark.parametrize(("data_type", "cells"), TYPES)
def test_a_value_has_the_text_that_csv_writers_give_it(data, data_type, cells):
    column = pa.array(data.draw(st.lists(cells, min_size=1, max_size=5)), data_type)
    table = pa.table({"x": column, "row": range(len(column))})
    expected = as_text(column).to_pylist()
    buffer = io.BytesIO()
    pa.csv.write_csv(table, buffer)
    assert texts_of_csv(buffer.getvalue()) == expected
    frame = table.to_pandas(types_mapper=pd.ArrowDtype if data_type == pa.uint64() else None)
    assert texts_of_csv(frame.to_csv(index=False, lineterminator="\n").encode()) == expected


@given(st.sampled_from([np.float16, np.float64]), st.integers(-(2**63), 2**63 - 1))
def test_an_integer_has_one_text_in_every_type_that_holds_it(data_type, number):
    number = int(data_type(number % 65_504 if data_type is np.float16 else number))
    assume(-(2**63) <= number < 2**63)
    texts = [
        as_text(pa.array([number], pa.int64())),
        as_text(pa.array(np.array([number], data_type))),
        as_text(pa.array([decimal.Decimal(number)], pa.decimal128(22, 2))),
        as_text(pa.array([f"{number}.0"])),
        as_text(pa.array([f"{float(number):.17e}"])),
    ]
    assert [text.to_pylist() for text in texts] == [[str(number)]] * len(texts)


@settings(deadline=None)
@given(st.lists(st.one_of(st.none(), st.text(max_size=4), st.sampled_from(["1.0", "NA", "true"]))))
def test_text_does_not_depend_on_the_arrow_type(texts):
    column = pa.array(texts, pa.string())
    expected = as_text(column).to_pylist()
    for data_type in (pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary()):
        assert as_text(column.cast(data_type)).to_pylist() == expected
    assert as_text(column.dictionary_encode()).to_pylist() == expected
    again = pa.array([None if text is None else text for text in expected], pa.string())
    assert as_text(again).to_pylist() == expected  # canonical text stays


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        (pa.array([4006381333001.0, None, float("nan")]), ["4006381333001", None, None]),
        (pa.array(["4.006381333001e+12", "4006381333001.0"]), ["4006381333001"] * 2),
        (pa.array(["1.500000000000000000e+00", "1.50"]), ["1.5", "1.50"]),
        (pa.array(["007", "2E10"]), ["007", "2E10"]),
        (pa.array(np.array([0.1, 1, 60000, np.nan], np.float16)), ["0.1", "1", "60000", None]),
        (pa.array(np.array([2, 1], np.float16)).dictionary_encode, ["2", "1"]),
        (pa.array([decimal.Decimal("2.500"), decimal.Decimal("3.000")]), ["2.500", "3"]),
        (pa.array([True, None, False]), ["True", None, "False"]),
        (pa.array(["true", "FALSE", " True"]), ["True", "False", "True"]),
        (pa.array(["A\u0301nna", "\u00c1nna\u00a0"]), ["\u00c1nna"] * 2),
        (pa.array(["NA", "n/a", "-", "?", "none", "null", "nan", "", " "]), [None] * 9),
        (pa.array(["2026-01-02T00:00:00", "2026-01-02 03:04:05.600Z"]),
         ["2026-01-02", "2026-01-02 03:04:05.6Z"]),
        (pa.array([0], pa.timestamp("ms", "Europe/Berlin")), ["1970-01-01 01:00:00+01:00"]),
        (pa.array(["1970-01-01 01:00:00+01:00"]), ["1970-01-01 01:00:00+01:00"]),
        (pa.array([0, None, 86400], pa.timestamp("s", "+05:30")),
         ["1970-01-01 05:30:00+05:30", None, "1970-01-02 05:30:00+05:30"]),
        (pa.array([0], pa.timestamp("us", "-03:30")), ["1969-12-31 20:30:00-03:30"]),
        (pa.array([b"ab", b"\xff\xff", None], pa.binary(2)), ["ab", None, None]),
        (pa.array([bytes(range(16)), None], pa.uuid()),
         ["00010203-0405-0607-0809-0a0b0c0d0e0f", None]),
        (pa.array([-0.0, 0.0]), ["0", "0"]),
        (pa.array(["-0", "-0.0", "0"]), ["0", "0", "0"]),
        (pa.nulls(2), [None, None]),
    ],
)  # fmt: skip
def test_canonical_texts(cells, texts):
    if callable(cells):
        with pytest.raises(pa.ArrowNotImplementedError):
            cells()
        cells = pa.DictionaryArray.from_arrays(
            pa.array([0, 1]), pa.array(np.array([2, 1], np.float16))
        )
    assert as_text(cells).to_pylist() == texts


def test_problems_of_text_name_their_cause():
    cells = pa.array([b"u", None, b" ", b"NA", b"\xff"])
    _, problems = as_checked_text(cells)
    expected = [values.OK, values.MISSING, values.MISSING, values.MARKED_MISSING, values.NOT_TEXT]
    assert problems.tolist() == expected
    assert as_checked_text(cells.dictionary_encode())[1].tolist() == expected
    _, problems = as_checked_text(cells, CellFormat(missing=()))
    assert problems[3] == values.OK


def test_lists_and_structs_are_no_labels():
    with pytest.raises(DataError, match="type list<item: int64> cannot be a label"):
        as_text(pa.array([[1]]))


def test_numbers_are_the_same_in_every_type():
    expected = [1.0, 0.0, 1.5]
    halves = np.array(expected, np.float16)
    for cells in (
        pa.array(["1", "false", "+1.50"]),
        pa.array([b" true ", b"0", b"1.5e0"]),
        pa.array(["1", "0", "1.5"], pa.large_string()),
        pa.array(expected).cast(pa.float32()).dictionary_encode(),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, 2]), pa.array(halves)),
        pa.array(halves),
        pa.array([decimal.Decimal("1.0"), decimal.Decimal("0.0"), decimal.Decimal("1.5")]),
    ):
        numbers, problems = as_floats(cells)
        assert numbers.tolist() == expected
        assert not problems.any()
    assert as_floats(pa.array([True, False]))[0].tolist() == [1.0, 0.0]


def test_missing_numbers_are_missing_in_every_type():
    missing = [values.OK, values.MISSING, values.MISSING]
    for cells in (
        pa.array(["1", "NA", "x"]).take(pa.array([0, 1, None])),
        pa.array([b"1", b"-", b" "]),
        pa.array([1.0, None, float("nan")]),
        pa.array(np.array([1, np.nan, np.nan], np.float16)),
        pa.array([1, None, None]),
        pa.array(["1", "?", None]).dictionary_encode(),
    ):
        assert as_floats(cells)[1].tolist() == missing


def test_a_number_can_mean_missing():
    cell_format = CellFormat(missing=("-999",))
    for cells in (pa.array(["1", "-999.0"]), pa.array([1, -999]), pa.array([1.0, -999.0])):
        assert as_floats(cells, cell_format)[1].tolist() == [values.OK, values.MISSING]


def test_decimal_commas_need_the_setting():
    cells = pa.array(["1,5", "-,5", "2", "1.000,5", "x"])
    assert as_floats(cells)[1].tolist() == [
        *[values.HAS_COMMA] * 2, values.OK, values.HAS_COMMA, values.NOT_A_NUMBER
    ]  # fmt: skip
    numbers, problems = as_floats(cells, CellFormat(decimal=","))
    assert numbers[:3].tolist() == [1.5, -0.5, 2.0]
    assert problems.tolist() == [*[values.OK] * 3, values.HAS_POINT, values.NOT_A_NUMBER]


@settings(deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False), min_size=1))
def test_numbers_among_missing_cells_are_read_exactly(numbers):
    text = pa.array([*(repr(number) for number in numbers), "NA"])
    expected, _ = as_floats(pa.array([*numbers, None]))
    np.testing.assert_array_equal(as_floats(text)[0], expected)
    commas = pa.array([*(repr(number).replace(".", ",") for number in numbers), "NA"])
    np.testing.assert_array_equal(as_floats(commas, CellFormat(decimal=","))[0], expected)


@pytest.mark.parametrize(
    "text", ["1,234", "1 000", "1'000", "1_000", "0x10", "1e", "--1", ".", "+"]
)
def test_other_texts_are_no_numbers(text):
    assert as_floats(pa.array([text, "1"]))[1][0] in (values.NOT_A_NUMBER, values.HAS_COMMA)


@settings(deadline=None)
@given(
    rows=st.lists(
        st.one_of(
            st.none(),
            st.lists(st.lists(st.integers(0, 9), min_size=2, max_size=2), min_size=1, max_size=3),
        ),
        min_size=1,
    ),
    start=st.integers(0, 3),
)
def test_nested_lists_are_flattened_in_c_order(rows, start):
    nested = pa.array([None, *rows], pa.list_(pa.list_(pa.int64()))).slice(start)
    flat = [
        None if row is None else [x for part in row for x in part] for row in nested.to_pylist()
    ]
    expected, expected_problems = values.as_vectors(pa.array(flat, pa.list_(pa.int64())), 4)
    numbers, problems = values.as_vectors(nested, 4)
    np.testing.assert_array_equal(numbers, expected)
    np.testing.assert_array_equal(problems, expected_problems)


def test_uneven_inner_lists_are_rejected():
    rows = [[[1, 2], [3, 4]], [[1, 2, 3], [4]], None, [[1, 2], [3, None]]]
    _, problems = values.as_vectors(pa.array(rows), 4)
    assert problems.tolist() == [values.OK, values.WRONG_WIDTH, values.MISSING, values.MISSING]


def test_a_first_row_of_another_shape_does_not_reject_the_others():
    rows = [[[1, 2, 3], [4, 5, 6]], *[[[1, 2], [3, 4], [5, 6]]] * 3]
    _, problems = values.as_vectors(pa.array(rows), 6)
    assert problems.tolist() == [values.WRONG_WIDTH, values.OK, values.OK, values.OK]


def test_tensors_are_vectors():
    storage = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(8, dtype=np.float16)), 4)
    tensors = pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float16(), (2, 2)), storage)
    assert values.is_number_list(tensors.type)
    assert values.as_vectors(tensors, 4)[0].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]


@settings(deadline=None)
@given(st.text())
def test_normalizing_twice_changes_nothing(text):
    once = normalize_text(text)
    assert normalize_text(once) == once
    assert normalize_text(unicodedata.normalize("NFD", text)) == once
