import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import POLICIES, SETTINGS, SMALL_SIZES

from diptych.components.pair_gen.hashing import hash_integers
from diptych.components.pair_gen.layout import compute_class_weights, compute_quotas
from diptych.schemas.config.pairs import PairsConfig

few_examples = settings(max_examples=30, deadline=None)


@pytest.fixture(scope="module", params=[False, True], ids=["random", "similarity_ordered"])
def lay_out(lay_out, request):
    return functools.partial(lay_out, similarity_ordered=request.param)


@few_examples
@given(sizes=SMALL_SIZES, config=SETTINGS, sampling=st.sampled_from(POLICIES))
def test_batches_have_at_least_p_distinct_classes_while_p_remain(lay_out, sizes, config, sampling):
    sampled = lay_out(sizes, config, sampling)
    chunks_per_round = sampled.quotas.chunks_per_round
    fewest = min(config.classes_per_batch, len(sizes))
    deepest = sorted(chunks_per_round.tolist(), reverse=True)[
        fewest - 1
    ]  # number of layers with at least P classes
    for batch in range(sampled.layout.num_batches):
        in_batch = sampled.batch == batch
        assert in_batch.any()
        chunks = set(
            zip(
                sampled.class_index[in_batch].tolist(),
                sampled.chunk[in_batch].tolist(),
                strict=True,
            )
        )
        full = [class_index for class_index, chunk in chunks if chunk < deepest]
        if full:
            assert len(full) == len(set(full))
            assert fewest <= len(full) < 2 * fewest


@few_examples
@given(sizes=SMALL_SIZES, config=SETTINGS, sampling=st.sampled_from(POLICIES))
def test_no_batch_has_a_single_class_unless_one_class_outweighs_all_others(
    lay_out, sizes, config, sampling
):
    sampled = lay_out(sizes, config, sampling, rounds=1)
    per_round = np.sort(sampled.quotas.chunks_per_round)
    alone = per_round[-1] - per_round[-2]
    for batch in range(sampled.layout.num_batches):
        if np.unique(sampled.class_index[sampled.batch == batch]).size == 1:
            others = np.unique(
                sampled.batch[sampled.class_index != sampled.class_index[sampled.batch == batch][0]]
            )
            assert alone > others.size * config.classes_per_batch


def test_quotas_by_hand():
    counts, keys = np.array([10, 4, 3, 1]), hash_integers(0, np.arange(4))
    config = PairsConfig(examples_per_class=4, max_repeats=2)
    natural = compute_quotas(keys, counts, config, "natural")
    assert natural.chunks_per_round.tolist() == [3, 1, 1, 1]
    assert natural.padding.tolist() == [2, 0, 0, 0]
    over = compute_quotas(keys, counts, config, "oversample")
    assert over.chunks_per_round.tolist() == [3, 2, 2, 2]
    assert over.round_stride.tolist() == [3, 2, 2, 2]
    under = compute_quotas(
        keys, counts, config, "undersample"
    )  # K is lowered to 3, the size of the third class
    assert under.chunk_size.tolist() == [3] * 4
    assert under.chunks_per_round.tolist() == [1] * 4
    assert under.padding.tolist() == [2, 2, 0, 0]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("natural", [1, 1, 1, 1]),
        ("inverse_frequency", [18 / 40, 18 / 16, 18 / 12, 18 / 4]),
        ("oversample", [12 / 12, 12 / 8, 12 / 6, 12 / 2]),
        ("undersample", [1, 1, 1, 3]),
    ],
)
def test_weights_by_hand(sampling, expected):
    counts, keys = np.array([10, 4, 3, 1]), hash_integers(0, np.arange(4))
    config = PairsConfig(examples_per_class=4, max_repeats=2)
    weights = compute_class_weights(compute_quotas(keys, counts, config, sampling), sampling)
    assert weights.tolist() == pytest.approx(expected)


def test_unpaired_chunks_are_in_separate_batches(lay_out):
    sampled = lay_out([80, 4], PairsConfig(classes_per_batch=2), rounds=1)
    assert sampled.layout.segments.num_unpaired == 17
    shared = sampled.batch == sampled.batch[sampled.class_index == 1][0]
    assert np.bincount(sampled.class_index[shared]).tolist() == [12, 4]


def test_classes_per_batch_is_lowered_to_the_number_of_classes(lay_out):
    sampled = lay_out([4, 4, 4], PairsConfig(classes_per_batch=8))
    assert sampled.layout.classes_per_batch == 3
