import re
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.evaluator.leaks import check_leaked_pairs, measure_leaked_pairs


def make_test_pairs(ids, left, right):
    return SimpleNamespace(ids=np.array(ids, np.uint8), left=np.array(left), right=np.array(right))


def test_a_pair_is_leaked_if_either_side_is():
    ids = [[0] * 15 + [number] for number in range(5)]  # the ids 0 .. 4; 0 ends with null bytes
    pairs = make_test_pairs(ids, [0, 1, 2, 3, 3], [1, 2, 3, 4, 0])
    leaked = np.array([ids[4], [9] * 16, ids[0]], np.uint8)
    assert measure_leaked_pairs(pairs, leaked) == 3 / 5  # the pairs 0-1, 3-4 and 3-0
    assert measure_leaked_pairs(pairs, np.empty((0, 16), np.uint8)) == 0
    assert measure_leaked_pairs(pairs, pairs.ids) == 1


@given(seed=st.integers(0, 1000), num_leaked=st.integers(0, 20))
def test_the_fraction_equals_that_of_a_loop(seed, num_leaked):
    generator = np.random.default_rng(seed)
    # Few values per byte, so that many ids differ only in their last bytes or end with zeros.
    ids = np.unique(generator.integers(0, 2, (12, 16)).astype(np.uint8) * 255, axis=0)
    left, right = generator.integers(0, len(ids), (2, 30))
    leaked = np.concatenate(
        [ids[generator.integers(0, len(ids), num_leaked)], 7 * np.ones((1, 16), np.uint8)]
    )
    known = {bytes(one) for one in leaked}
    expected = np.mean(
        [bytes(ids[a]) in known or bytes(ids[b]) in known for a, b in zip(left, right, strict=True)]
    )
    assert measure_leaked_pairs(make_test_pairs(ids, left, right), leaked) == expected


@pytest.mark.parametrize(
    ("fraction", "given_pairs", "split_by", "passed", "expected_text"),
    [
        (
            0.05,
            False,
            "example",
            True,
            "5.00% of the test pairs have an example known from training, itself",
        ),
        (
            0.051,
            False,
            "example",
            False,
            "above the limit of 5.00%: the metrics do not show how the model",
        ),
        (0.994, False, "example", False, ". Set split.duplicates: together; evaluate.req"),
        (0.994, False, "time", False, ". Remove the duplicates .* with split.by: time they do not"),
        (
            0.994,
            True,
            "example",
            False,
            "Set split.by: connected, or split.by: group with data.group;",
        ),
    ],
)
def test_the_limit_decides_and_the_text_states_the_remedy(
    fraction, given_pairs, split_by, passed, expected_text
):
    check = check_leaked_pairs(fraction, 0.05, given_pairs=given_pairs, split_by=split_by)
    assert (check.name, check.passed, check.better) == ("max_leaked", passed, "lower")
    assert (check.value, check.requirement) == (fraction, 0.05)
    assert re.search(expected_text, check.text)
