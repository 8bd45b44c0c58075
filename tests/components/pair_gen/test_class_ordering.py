import pickle

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen.class_ordering import Seats
from diptych.components.pair_gen.hashing import hash_of
from diptych.components.pair_gen.layout import make_layout, place, quotas
from diptych.schemas.config.pairs import Pairs


def test_seats_by_hand():
    # By their number of chunks, five classes stand at 3, 0, 4, 1, 2 of the line; the first run of
    # layers holds all of them, the second the first three: there they keep their order, 1, 0, 2.
    seats = Seats(np.array([[3, 0, 4, 1, 2]]), np.array([5, 3]))
    run, order = np.repeat([0, 1], [5, 3]), np.array([0, 1, 2, 3, 4, 0, 1, 2])
    still = seats.of(0, run, order, np.zeros(8, np.uint64))
    assert still.tolist() == [3, 0, 4, 1, 2, 1, 0, 2]
    turned = seats.of(0, run, order, np.array([7] * 5 + [4] * 3, np.uint64))
    assert turned.tolist() == [0, 2, 1, 3, 4, 2, 1, 0]


def test_workers_are_not_sent_the_ranks():
    seats = Seats(np.arange(1000)[None], np.array([1000, 999, 998]))
    before = len(pickle.dumps(seats))
    run, order, salt = np.array([2]), np.array([7]), np.zeros(1, np.uint64)
    assert seats.of(0, run, order, salt).tolist() == [7]
    assert len(pickle.dumps(seats)) == before
    assert pickle.loads(pickle.dumps(seats)).of(0, run, order, salt).tolist() == [7]


@settings(max_examples=30, deadline=None)
@given(
    classes=st.integers(8, 40),
    classes_per_batch=st.integers(2, 8),
    chunks=st.integers(1, 4),
    seed=st.integers(0, 2**32),
)
def test_a_batch_is_a_window_of_the_line_in_every_other_layer(
    classes, classes_per_batch, chunks, seed
):
    line = np.random.default_rng(seed).permutation(classes)
    config = Pairs(classes_per_batch=classes_per_batch, examples_per_class=2, seed=seed)
    counts = np.full(classes, 2 * chunks)
    amounts = quotas(hash_of(seed, np.arange(classes)), counts, config, "natural")
    layout = make_layout(amounts, config, 1, line[None])
    kind = np.repeat(np.arange(classes), counts)
    places = place(layout, kind, np.tile(np.arange(2 * chunks), classes))
    for batch in range(layout.num_batches):
        here = places.batch == batch
        (layer,) = set(places.chunk[here].tolist())
        if layer % 2:
            continue  # at random
        seats = np.sort(np.unique(line[kind[places.row[here]]]))
        steps = np.diff(seats, append=seats[0] + classes)  # once round
        assert (steps != 1).sum() <= 1


def test_layers_are_cut_at_different_places():
    config = Pairs(classes_per_batch=4, examples_per_class=2)
    counts = np.full(16, 40)
    amounts = quotas(hash_of(0, np.arange(16)), counts, config, "natural")
    layout = make_layout(amounts, config, 1, np.arange(16)[None])
    kind = np.repeat(np.arange(16), counts)
    places = place(layout, kind, np.tile(np.arange(40), 16))
    met = {
        tuple(np.unique(kind[places.row[places.batch == batch]]).tolist())
        for batch in range(layout.num_batches)
    }
    windows = [batch for batch in met if set(np.diff(batch)) <= {1, 13}]
    assert len(windows) > 8  # of 16 windows of 4; there were 4 without the turn
