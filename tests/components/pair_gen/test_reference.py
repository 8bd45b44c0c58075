import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Row, allowed_pairs, drawn_same_pairs, rows_of, sides_of, triplet_of
from strategies import SETTINGS, SMALL_SIZES


@pytest.mark.parametrize("policy", ["natural", "oversample", "undersample"])
@settings(max_examples=6, deadline=None)
@given(sizes=SMALL_SIZES, config=SETTINGS, rounds=st.integers(1, 2))
def test_what_is_drawn_is_what_the_rules_say(lay_out, policy, sizes, config, rounds):
    config = config.model_copy(update={"max_repeats": config.max_repeats % 3 + 1})
    drawn = lay_out(sizes, config, policy, rounds)
    expected = rows_of(sizes, drawn.amounts.keys.tolist(), config, policy, rounds)
    starts = list(itertools.accumulate(sizes, initial=0))
    rank = drawn.example - [starts[kind] for kind in drawn.kind]
    columns = (drawn.batch, drawn.kind, drawn.chunk, drawn.index, rank, drawn.fill)
    rows = [Row(*values) for values in zip(*(part.tolist() for part in columns), strict=True)]
    assert rows == expected

    pairs = np.stack([drawn.pairs.left, drawn.pairs.right, drawn.pairs.same], axis=1)
    sides = (drawn.triplets.anchor, drawn.triplets.positive, drawn.triplets.negative)
    triplets = np.stack(sides, axis=1)
    start = 0
    for batch, in_batch in itertools.groupby(rows, lambda row: row.batch):
        members = list(in_batch)
        here = drawn.batch[pairs[:, 0]] == batch
        inside = [(left - start, right - start) for left, right, _ in pairs[here].tolist()]
        same = [pair for pair, alike in zip(inside, pairs[here, 2], strict=True) if alike]
        assert same == drawn_same_pairs(members, drawn.ratio, config.seed)
        different = [pair for pair in inside if pair not in same]
        assert len(different) * drawn.ratio[0] == len(same) * drawn.ratio[1]
        allowed = {sides_of(members, pair, config.seed) for pair in allowed_pairs(members)[1]}
        assert set(different) <= allowed
        assert len(set(different)) == len(different)
        expected = [triplet_of(members, *pair, config.seed) for pair in same]
        assert (triplets[drawn.batch[triplets[:, 0]] == batch] - start).tolist() == expected
        start += len(members)
