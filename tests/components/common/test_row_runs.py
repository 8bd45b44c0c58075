import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.common.row_runs import mark_run_starts, run_starts

COLUMNS = st.lists(st.tuples(st.integers(-1, 1), st.integers(0, 2)), max_size=30)


@given(rows=COLUMNS)
def test_a_run_starts_where_a_row_differs_from_the_one_before(rows):
    columns = np.array(rows, np.int64).reshape(-1, 2).T
    expected = [row == 0 or rows[row] != rows[row - 1] for row in range(len(rows))]
    assert mark_run_starts(*columns).tolist() == expected
    assert run_starts(*columns).tolist() == [row for row, mark in enumerate(expected) if mark]


@pytest.mark.parametrize("dtype", [np.uint64, np.int64, np.int32])
def test_large_numbers_do_not_wrap_around(dtype):
    values = np.array([np.iinfo(dtype).max, np.iinfo(dtype).min, np.iinfo(dtype).min], dtype)
    assert mark_run_starts(values).tolist() == [True, True, False]
