import hashlib

import numpy as np
import pyarrow as pa
import pytest

from diptych.components.class_centroids.centroid_sums import (
    SAMPLE_SIZE,
    EmbeddingSums,
    count_labels,
    make_centroid_table,
    merge_sums,
    quantize_embedding,
    select_sample,
    sum_embeddings,
)
from diptych.schemas.centroids import CENTROID_UNIT


def make_ids(count):
    digests = [hashlib.blake2b(b"%d" % n, digest_size=16).digest() for n in range(count)]
    return np.frombuffer(b"".join(digests), np.uint8).reshape(-1, 16)


def make_labels(*labels):
    return pa.array(labels, pa.binary())


def test_decoded_labels_are_counted():
    column = pa.array([[b"a"], [b"b\0"], [b"a"]], pa.large_list(pa.large_binary()))
    assert count_labels(pa.record_batch({"label": column})) == {b"a": 2, b"b\0": 1}


def test_the_sample_has_all_of_a_small_class_and_about_as_many_of_a_large_one():
    labels = make_labels(*[b"large"] * 5000, *[b"small"] * SAMPLE_SIZE)
    ids = make_ids(len(labels))
    rows = select_sample(labels, ids, {b"large": 5000, b"small": SAMPLE_SIZE, b"absent": 1})
    assert rows[rows >= 5000].tolist() == list(range(5000, 5000 + SAMPLE_SIZE))
    assert 16 <= (rows < 5000).sum() <= 64


def test_the_sample_of_a_row_does_not_depend_on_other_rows():
    labels, ids = make_labels(*[b"a", b"b", b"a", b"a"] * 100), make_ids(400)
    counts = {b"a": 300, b"b": 100}
    together = select_sample(labels, ids, counts).tolist()
    alone = [
        n for n in range(400) if select_sample(labels.slice(n, 1), ids[n : n + 1], counts).size == 1
    ]
    assert together == alone
    assert 0 < len(together) < 400


def test_coordinates_are_rounded_and_clipped():
    embedding = np.array(
        [[1, -0.5, 0.6 * CENTROID_UNIT, np.inf], [-np.inf, np.nan, 1e30, -1e30]], np.float32
    )
    limit = 2**31 - 1
    assert quantize_embedding(embedding).tolist() == [
        [65536, -32768, 1, limit],
        [-limit, 0, limit, -limit],
    ]


def test_centroids_by_hand():
    first = sum_embeddings(
        make_labels(b"b", b"a", b"b"), np.array([[1, 2], [3, 4], [2, -2]], np.float32)
    )
    second = EmbeddingSums(make_labels(b"a"), np.array([2]), np.array([[65536, -1]]))
    table = make_centroid_table(merge_sums([first, second])).to_pydict()
    assert table["label"] == [b"a", b"b"]
    assert table["examples"] == [3, 2]
    # (3 + 1) / 3 of 65536, and (4 * 65536 - 1) / 3
    assert table["centroid"] == [[87381, 87381], [98304, 0]]


@pytest.mark.parametrize("cut", [1, 7, 40])
def test_sums_do_not_depend_on_order_and_division(cut):
    generator = np.random.default_rng(4)
    labels = generator.choice([b"a", b"b", b"c"], 40).tolist()
    values = generator.normal(size=(40, 3)).astype(np.float32)
    expected = make_centroid_table(sum_embeddings(make_labels(*labels), values))
    order = generator.permutation(40)
    parts = [
        sum_embeddings(make_labels(*(labels[n] for n in part)), values[part])
        for part in np.array_split(order, cut)
    ]
    assert make_centroid_table(merge_sums([merge_sums(parts[:3]), *parts[3:]])).equals(expected)
