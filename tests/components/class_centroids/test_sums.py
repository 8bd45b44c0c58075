import hashlib

import numpy as np
import pyarrow as pa
import pytest

from diptych.components.class_centroids.sums import (
    SAMPLE,
    Sums,
    added,
    centroid_table,
    count_labels,
    in_sample,
    one_each,
    quantise,
)
from diptych.schemas.centroids import UNIT


def _ids(count):
    digests = [hashlib.blake2b(b"%d" % n, digest_size=16).digest() for n in range(count)]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)


def _labels(*labels):
    return pa.array(labels, pa.binary())


def test_labels_are_counted_as_the_decoder_gives_them():
    column = pa.array([[b"a"], [b"b\0"], [b"a"]], pa.large_list(pa.large_binary()))
    assert count_labels(pa.record_batch({"label": column})) == {b"a": 2, b"b\0": 1}


def test_small_classes_are_taken_whole_and_of_large_ones_about_as_many():
    labels = _labels(*[b"large"] * 5000, *[b"small"] * SAMPLE)
    ids = _ids(len(labels))
    rows = in_sample(labels, ids, {b"large": 5000, b"small": SAMPLE, b"absent": 1})
    assert rows[rows >= 5000].tolist() == list(range(5000, 5000 + SAMPLE))
    assert 16 <= (rows < 5000).sum() <= 64


def test_a_row_is_taken_or_not_whatever_stands_beside_it():
    labels, ids = _labels(*[b"a", b"b", b"a", b"a"] * 100), _ids(400)
    counts = {b"a": 300, b"b": 100}
    together = in_sample(labels, ids, counts).tolist()
    alone = [
        n for n in range(400) if in_sample(labels.slice(n, 1), ids[n : n + 1], counts).size == 1
    ]
    assert together == alone
    assert 0 < len(together) < 400


def test_coordinates_are_rounded_and_stay_inside_the_range():
    given = np.array([[1, -0.5, 0.6 * UNIT, np.inf], [-np.inf, np.nan, 1e30, -1e30]], np.float32)
    limit = 2**31 - 1
    assert quantise(given).tolist() == [[65536, -32768, 1, limit], [-limit, 0, limit, -limit]]


def test_centroids_by_hand():
    first = one_each(_labels(b"b", b"a", b"b"), np.array([[1, 2], [3, 4], [2, -2]], np.float32))
    second = Sums(_labels(b"a"), np.array([2]), np.array([[65536, -1]]))
    table = centroid_table(added([first, second])).to_pydict()
    assert table["label"] == [b"a", b"b"]
    assert table["examples"] == [3, 2]
    # (3 + 1) / 3 of 65536, and (4 * 65536 - 1) / 3
    assert table["centroid"] == [[87381, 87381], [98304, 0]]


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_sums_do_not_depend_on_order_and_parts(cut):
    generator = np.random.default_rng(4)
    labels = generator.choice([b"a", b"b", b"c"], 40).tolist()
    values = generator.normal(size=(40, 3)).astype(np.float32)
    whole = centroid_table(one_each(_labels(*labels), values))
    order = generator.permutation(40)
    parts = [
        one_each(_labels(*(labels[n] for n in some)), values[some])
        for some in np.array_split(order, cut)
    ]
    assert centroid_table(added([added(parts[:3]), *parts[3:]])).equals(whole)
