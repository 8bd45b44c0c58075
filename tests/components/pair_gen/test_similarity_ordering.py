import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.pair_gen.hashing import hash_of
from diptych.components.pair_gen.similarity_ordering import Centroids, line_of, lines

SALT = hash_of(5)


def _clusters(clusters, each, size, seed=0, spread=0.1):
    """Points in 2**-16, and the number of the cluster of each."""
    generator = np.random.default_rng(seed)
    of = np.repeat(np.arange(clusters), each)
    centres = generator.normal(size=(clusters, size))
    points = centres[of] + spread * generator.normal(size=(of.size, size))
    return np.rint(points * 2**16).astype(np.int32), of


def test_points_on_a_line_are_put_in_its_order():
    places = np.random.default_rng(3).permutation(37)
    points = np.stack([5 * places, -3 * places], axis=1).astype(np.float64)
    along = places[line_of(points, SALT)].tolist()
    assert along in (list(range(37)), list(range(36, -1, -1)))


@pytest.mark.parametrize("size", [1, 2, 50])
def test_the_members_of_a_cluster_are_neighbours(size):
    centres = np.array([[0, 0], [90, 5], [10, 30], [95, 35]])[:, : min(size, 2)] * 1000
    centres = np.pad(centres, ((0, 0), (0, size - centres.shape[1])))
    of = np.random.default_rng(1).permutation(np.repeat(np.arange(4), 8))
    points = centres[of] + np.random.default_rng(2).integers(-300, 300, (32, size))
    along = of[line_of(points.astype(np.float64), SALT)]
    assert (along.reshape(4, 8) == along.reshape(4, 8)[:, :1]).all()


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(0, 90),
    size=st.integers(1, 5),
    largest=st.sampled_from([0, 1, 3, 2**31 - 1]),  # many ties, and products near the limit
    known=st.floats(0, 1),
    seed=st.integers(0, 2**32),
)
def test_a_line_is_a_permutation_whatever_the_order_of_the_centroids(
    count, size, largest, known, seed
):
    generator = np.random.default_rng(seed)
    keys = np.sort(hash_of(seed, np.arange(count)))
    points = generator.integers(-largest, largest + 1, (count, size)).astype(np.int32)
    some = np.flatnonzero(generator.random(count) <= known)
    shuffled = generator.permutation(some)
    first = lines(keys, Centroids(keys[some], points[some]), 2, SALT)
    again = lines(keys, Centroids(keys[shuffled], points[shuffled]), 2, SALT)
    assert (np.sort(first, axis=1) == np.arange(count)).all()
    assert (first == again).all()
    assert (first[:, some] < some.size).all()  # those without a centroid stand behind


def test_centroids_of_other_classes_count_for_nothing():
    keys = np.sort(hash_of(0, np.arange(40)))
    points, _ = _clusters(5, 8, 3)
    kept = np.arange(0, 40, 2)
    alone = lines(keys[kept], Centroids(keys[kept], points[kept]), 1, SALT)
    assert (lines(keys[kept], Centroids(keys, points), 1, SALT) == alone).all()


def test_each_round_has_a_line_of_its_own():
    keys = np.sort(hash_of(0, np.arange(400)))
    points, _ = _clusters(400, 1, 8)
    drawn = lines(keys, Centroids(keys, points), 2, SALT)
    windows = [{frozenset(pair) for pair in _together(line)} for line in drawn]
    assert len(windows[0] & windows[1]) < 0.5 * len(windows[0])


def _together(line, seats=8):
    """Pairs of classes in windows of so many seats."""
    window = line // seats
    left, right = np.triu_indices(line.size, 1)
    same = window[left] == window[right]
    return np.stack([left[same], right[same]], axis=1)


@pytest.mark.parametrize(("clusters", "each", "below"), [(50, 20, 0.55), (400, 5, 0.85)])
def test_neighbours_lie_much_closer_than_classes_that_meet_at_random(clusters, each, below):
    points, _ = _clusters(clusters, each, 64, spread=0.3)
    keys = np.sort(hash_of(1, np.arange(len(points))))
    line = lines(keys, Centroids(keys, points), 1, SALT)[0]

    def apart(pairs):
        return np.linalg.norm(np.subtract(*points[pairs.T].astype(np.float64)), axis=1).mean()

    random = np.random.default_rng(0).permutation(line.size)
    assert apart(_together(line)) < below * apart(_together(random))


def test_a_line_is_frozen():  # golden: a new value re-draws every data set
    points, _ = _clusters(3, 4, 2)
    keys = np.sort(hash_of(2, np.arange(12)))
    expected = [7, 6, 5, 4, 8, 9, 10, 11, 0, 3, 2, 1]
    assert lines(keys, Centroids(keys, points), 1, SALT)[0].tolist() == expected
