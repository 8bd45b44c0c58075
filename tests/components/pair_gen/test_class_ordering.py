import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen.class_ordering import ClassOrdering
from diptych.components.pair_gen.hashing import hash_integers
from diptych.components.pair_gen.layout import assign_slots, compute_quotas, make_layout
from diptych.schemas.config.pairs import PairsConfig


def test_positions_by_hand():
    # Sorted by number of chunks, five classes are at 3, 0, 4, 1, 2 of the ordering. The first
    # segment of layers contains all of them, the second the first three, in the order 1, 0, 2.
    ordering = ClassOrdering(np.array([[3, 0, 4, 1, 2]]), np.array([5, 3]))
    segment, class_rank = np.repeat([0, 1], [5, 3]), np.array([0, 1, 2, 3, 4, 0, 1, 2])
    unrotated = ordering.positions(0, segment, class_rank, np.zeros(8, np.uint64))
    assert unrotated.tolist() == [3, 0, 4, 1, 2, 1, 0, 2]
    rotated = ordering.positions(0, segment, class_rank, np.array([7] * 5 + [4] * 3, np.uint64))
    assert rotated.tolist() == [0, 2, 1, 3, 4, 2, 1, 0]


def test_cached_ranks_are_not_pickled():
    ordering = ClassOrdering(np.arange(1000)[None], np.array([1000, 999, 998]))
    before = len(pickle.dumps(ordering))
    segment, class_rank, salt = np.array([2]), np.array([7]), np.zeros(1, np.uint64)
    assert ordering.positions(0, segment, class_rank, salt).tolist() == [7]
    assert len(pickle.dumps(ordering)) == before
    assert pickle.loads(pickle.dumps(ordering)).positions(
        0, segment, class_rank, salt
    ).tolist() == [7]


@settings(max_examples=30, deadline=None)
@given(
    classes=st.integers(8, 40),
    classes_per_batch=st.integers(2, 8),
    chunks=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_a_batch_is_a_window_of_the_ordering_in_every_other_layer(
    classes, classes_per_batch, chunks, seed
):
    ordering = np.random.default_rng(seed).permutation(classes)
    config = PairsConfig(classes_per_batch=classes_per_batch, examples_per_class=2, seed=seed)
    counts = np.full(classes, 2 * chunks)
    quotas = compute_quotas(hash_integers(seed, np.arange(classes)), counts, config, "natural")
    layout = make_layout(quotas, config, 1, ordering[None])
    class_index = np.repeat(np.arange(classes), counts)
    slots = assign_slots(layout, class_index, np.tile(np.arange(2 * chunks), classes))
    for batch in range(layout.num_batches):
        here = slots.batch == batch
        (layer,) = set(slots.chunk[here].tolist())
        if layer % 2:
            continue  # random layer
        positions = np.sort(np.unique(ordering[class_index[slots.row[here]]]))
        steps = np.diff(positions, append=positions[0] + classes)  # circular
        assert (steps != 1).sum() <= 1


def test_batch_boundaries_differ_between_layers():
    config = PairsConfig(classes_per_batch=4, examples_per_class=2)
    counts = np.full(16, 40)
    quotas = compute_quotas(hash_integers(0, np.arange(16)), counts, config, "natural")
    layout = make_layout(quotas, config, 1, np.arange(16)[None])
    class_index = np.repeat(np.arange(16), counts)
    slots = assign_slots(layout, class_index, np.tile(np.arange(40), 16))
    class_sets = {
        tuple(np.unique(class_index[slots.row[slots.batch == batch]]).tolist())
        for batch in range(layout.num_batches)
    }
    windows = [batch for batch in class_sets if set(np.diff(batch)) <= {1, 13}]
    assert len(windows) > 8  # of 16 windows of 4; without the rotation only 4 occur
