import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen.sorting import argsort_columns

LIMITS = st.sampled_from([1, 2, 7, 2**20, 2**40, 2**62])


@settings(max_examples=60, deadline=None)
@given(data=st.data(), size=st.integers(0, 60), limits=st.lists(LIMITS, min_size=1, max_size=4))
def test_the_order_equals_that_of_sorted_tuples(data, size, limits):
    rows = [tuple(data.draw(st.integers(-limit, limit)) for limit in limits) for _ in range(size)]
    columns = [np.array([row[column] for row in rows], np.int64) for column in range(len(limits))]
    expected = sorted(range(size), key=lambda index: rows[index])  # stable
    assert argsort_columns(*columns).tolist() == expected


def test_the_full_range_of_uint64_is_sorted():
    column = np.array([2**64 - 1, 0, 2**63, 5, 5], np.uint64)
    assert argsort_columns(column).tolist() == [1, 3, 4, 2, 0]
    assert argsort_columns(np.array([1, 1, 0, 1, 0]), column).tolist() == [4, 2, 1, 3, 0]
