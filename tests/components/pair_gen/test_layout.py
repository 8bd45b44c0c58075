import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import POLICIES, SETTINGS, SMALL_SIZES

from diptych.components.pair_gen.hashing import hash_of
from diptych.components.pair_gen.layout import class_weights, quotas
from diptych.schemas.config.pairs import Pairs

some = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module", params=[False, True], ids=["random", "in_line"])
def lay_out(lay_out, request):
    return functools.partial(lay_out, in_line=request.param)


@some
@given(sizes=SMALL_SIZES, config=SETTINGS, policy=st.sampled_from(POLICIES))
def test_batches_hold_at_least_p_classes_once_while_so_many_are_left(
    lay_out, sizes, config, policy
):
    drawn = lay_out(sizes, config, policy)
    per_round = drawn.amounts.per_round
    fewest = min(config.classes_per_batch, len(sizes))
    deepest = sorted(per_round.tolist(), reverse=True)[fewest - 1]  # layers with P classes or more
    for batch in range(drawn.layout.num_batches):
        here = drawn.batch == batch
        assert here.any()
        chunks = set(zip(drawn.kind[here].tolist(), drawn.chunk[here].tolist(), strict=True))
        full = [kind for kind, chunk in chunks if chunk < deepest]
        if full:
            assert len(full) == len(set(full))
            assert fewest <= len(full) < 2 * fewest


@some
@given(sizes=SMALL_SIZES, config=SETTINGS, policy=st.sampled_from(POLICIES))
def test_no_batch_is_of_one_class_unless_one_class_outweighs_all(lay_out, sizes, config, policy):
    drawn = lay_out(sizes, config, policy, rounds=1)
    quotas = np.sort(drawn.amounts.per_round)
    alone = quotas[-1] - quotas[-2]
    for batch in range(drawn.layout.num_batches):
        if np.unique(drawn.kind[drawn.batch == batch]).size == 1:
            others = np.unique(drawn.batch[drawn.kind != drawn.kind[drawn.batch == batch][0]])
            assert alone > others.size * config.classes_per_batch


def test_quotas_by_hand():
    counts, keys = np.array([10, 4, 3, 1]), hash_of(0, np.arange(4))
    config = Pairs(examples_per_class=4, max_repeats=2)
    natural = quotas(keys, counts, config, "natural")
    assert natural.per_round.tolist() == [3, 1, 1, 1]
    assert natural.fill.tolist() == [2, 0, 0, 0]
    over = quotas(keys, counts, config, "oversample")
    assert over.per_round.tolist() == [3, 2, 2, 2]
    assert over.advance.tolist() == [3, 2, 2, 2]
    under = quotas(keys, counts, config, "undersample")  # K falls to 3, that of the third class
    assert under.chunk_size.tolist() == [3] * 4
    assert under.per_round.tolist() == [1] * 4
    assert under.fill.tolist() == [2, 2, 0, 0]


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("natural", [1, 1, 1, 1]),
        ("inverse_frequency", [18 / 40, 18 / 16, 18 / 12, 18 / 4]),
        ("oversample", [12 / 12, 12 / 8, 12 / 6, 12 / 2]),
        ("undersample", [1, 1, 1, 3]),
    ],
)
def test_weights_by_hand(policy, expected):
    counts, keys = np.array([10, 4, 3, 1]), hash_of(0, np.arange(4))
    config = Pairs(examples_per_class=4, max_repeats=2)
    weights = class_weights(quotas(keys, counts, config, policy), policy)
    assert weights.tolist() == pytest.approx(expected)


def test_chunks_that_find_no_partner_lie_in_batches_of_their_own(lay_out):
    drawn = lay_out([80, 4], Pairs(classes_per_batch=2), rounds=1)
    assert drawn.layout.segments.unpaired == 17
    shared = drawn.batch == drawn.batch[drawn.kind == 1][0]
    assert np.bincount(drawn.kind[shared]).tolist() == [12, 4]


def test_more_classes_a_batch_than_there_are_is_lowered(lay_out):
    drawn = lay_out([4, 4, 4], Pairs(classes_per_batch=8))
    assert drawn.layout.classes_per_batch == 3
