import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import (
    Row,
    list_allowed_pairs,
    list_rows,
    make_triplet,
    order_sides,
    sample_positive_pairs,
)
from strategies import SETTINGS, SMALL_SIZES


@pytest.mark.parametrize("sampling", ["natural", "oversample", "undersample"])
@settings(max_examples=6, deadline=None)
@given(sizes=SMALL_SIZES, config=SETTINGS, rounds=st.integers(1, 2))
def test_pairs_equal_those_of_the_reference(lay_out, sampling, sizes, config, rounds):
    config = config.model_copy(update={"max_repeats": config.max_repeats % 3 + 1})
    sampled = lay_out(sizes, config, sampling, rounds)
    expected = list_rows(sizes, sampled.quotas.keys.tolist(), config, sampling, rounds)
    starts = list(itertools.accumulate(sizes, initial=0))
    rank = sampled.example - [starts[class_index] for class_index in sampled.class_index]
    columns = (
        sampled.batch,
        sampled.class_index,
        sampled.chunk,
        sampled.index,
        rank,
        sampled.padding,
    )
    rows = [Row(*values) for values in zip(*(part.tolist() for part in columns), strict=True)]
    assert rows == expected

    pairs = np.stack([sampled.pairs.left, sampled.pairs.right, sampled.pairs.same], axis=1)
    sides = (sampled.triplets.anchor, sampled.triplets.positive, sampled.triplets.negative)
    triplets = np.stack(sides, axis=1)
    start = 0
    for batch, in_batch in itertools.groupby(rows, lambda row: row.batch):
        members = list(in_batch)
        here = sampled.batch[pairs[:, 0]] == batch
        inside = [(left - start, right - start) for left, right, _ in pairs[here].tolist()]
        positive = [
            pair for pair, is_positive in zip(inside, pairs[here, 2], strict=True) if is_positive
        ]
        assert positive == sample_positive_pairs(members, sampled.ratio, config.seed)
        negative = [pair for pair in inside if pair not in positive]
        assert len(negative) * sampled.ratio[0] == len(positive) * sampled.ratio[1]
        allowed = {
            order_sides(members, pair, config.seed) for pair in list_allowed_pairs(members)[1]
        }
        assert set(negative) <= allowed
        assert len(set(negative)) == len(negative)
        expected = [make_triplet(members, *pair, config.seed) for pair in positive]
        assert (triplets[sampled.batch[triplets[:, 0]] == batch] - start).tolist() == expected
        start += len(members)
