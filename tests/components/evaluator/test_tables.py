import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diptych.components.evaluator.model_predictions import ModelPredictions
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.components.evaluator.tables import find_worst_pairs, write_evaluation_tables
from diptych.components.evaluator.thumbnails import render_thumbnails
from diptych.components.example_gen.encoding import encode_examples
from diptych.schemas.errors import DataError
from diptych.schemas.evaluation import SCORED_PAIRS_SCHEMA, WORST_PAIRS_SCHEMA, embeddings_schema
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.shards import SplitPairs


def make_pairs(*rows):
    """Pairs from tuples (left, right, same, distance)."""
    left, right, same, distance = (np.array(column) for column in zip(*rows, strict=True))
    return ScoredPairs(30, left, right, same, distance.astype(np.float32))


def test_the_worst_pairs_are_misclassified_and_farthest_from_the_threshold():
    pairs = make_pairs(
        (0, 1, 1, 0.6),  # false reject, near the threshold
        (2, 3, 1, 0.9),  # false reject, far from it
        (4, 5, 0, 0.4),  # false accept, near
        (6, 7, 0, 0.1),  # false accept, far
        (8, 9, 0, 0.9),  # correct
        (10, 11, 1, 0.5),  # correct: a distance equal to the threshold is accepted
    )
    assert find_worst_pairs(pairs, 0.5).tolist() == [3, 2, 1, 0]


def test_duplicate_pairs_are_returned_once():
    pairs = make_pairs((0, 1, 1, 0.9), (1, 0, 1, 0.9), (0, 1, 1, 0.9))
    assert find_worst_pairs(pairs, 0.5).tolist() == [0]


def test_an_example_is_in_at_most_two_worst_pairs():
    pairs = make_pairs(*((0, other, 1, 0.6 + other / 100) for other in range(1, 20)))
    assert find_worst_pairs(pairs, 0.5).tolist() == [18, 17]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), threshold=st.floats(0.05, 0.95))
def test_worst_pairs_of_random_pairs_are_misclassified_sorted_and_limited(seed, threshold):
    generator = np.random.default_rng(seed)
    left = generator.integers(0, 29, 300)
    right = generator.integers(left + 1, 30)
    same, distance = generator.integers(0, 2, 300), generator.uniform(size=300)
    pairs = ScoredPairs(30, left, right, same, distance.astype(np.float32))
    worst = find_worst_pairs(pairs, threshold)
    assert len(worst)
    assert not pairs.is_correct(threshold)[worst].any()
    assert np.bincount(same[worst], minlength=2).max() <= 12
    assert np.bincount(np.concatenate([left[worst], right[worst]])).max() <= 2
    error = np.abs(pairs.distance[worst] - threshold)
    assert (np.diff(error)[np.diff(same[worst]) == 0] <= 0).all()


def numbered_ids(count):
    ids = np.zeros((count, 16), np.uint8)
    ids[:, 14], ids[:, 15] = np.divmod(np.arange(count), 256)
    return ids


def test_the_tables_have_their_schemas_and_the_thumbnails_of_the_right_examples(tmp_path):
    count, pairs = 4000, make_pairs((1, 3, 1, 0.9), (3, 2, 0, 0.1), (0, 1, 0, 0.9))
    classes = np.arange(count) % 3 - 1
    split = SplitPairs(
        ids=numbered_ids(count),
        shard=classes,
        row=classes,
        left=pairs.left,
        right=pairs.right,
        same=pairs.same,
        labels=np.array([b"label%d" % row for row in range(count)], object),
        classes=classes,
        placed=[],
    )
    embeddings = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    predictions = ModelPredictions(embeddings, pairs, threshold=0.5)
    write_evaluation_tables(
        tmp_path, predictions, split, lambda ids: [bytes(each[14:]) for each in ids]
    )
    pair_table, worst, examples = (
        pq.read_table(tmp_path / f"{name}.parquet")
        for name in ("pairs", "worst_pairs", "embeddings")
    )
    assert pair_table.schema == SCORED_PAIRS_SCHEMA
    assert worst.schema == WORST_PAIRS_SCHEMA
    assert examples.schema == embeddings_schema(2)
    assert [each[15] for each in pair_table["left"].to_pylist()] == [1, 3, 0]
    assert worst.drop_columns(["left", "right"]).to_pylist() == [
        {
            "same": same,
            "distance": pytest.approx(distance),
            "left_label": f"label{left}",
            "right_label": f"label{right}",
            "left_thumbnail": bytes([0, left]),
            "right_thumbnail": bytes([0, right]),
        }
        for same, distance, left, right in [(0, 0.1, 3, 2), (1, 0.9, 1, 3)]
    ]
    rows = examples.to_pylist()
    assert [row["seen"] for row in rows[:4]] == [False, True, True, False]
    assert rows[3]["embedding"] == [6, 7]
    with_thumbnail = [index for index, row in enumerate(rows) if row["thumbnail"] is not None]
    assert len(with_thumbnail) == 2500
    assert np.diff(with_thumbnail).max() == 2  # evenly spaced
    assert all(rows[index]["thumbnail"] == rows[index]["id"][14:] for index in with_thumbnail)


def write_raw_examples(path, features):
    """Write a TFRecord file of raw examples with ids 0, 1, ..., and return its path in a list."""
    import tensorflow as tf

    (count,) = {len(values) for values in features.values()}
    hex_ids = [[bytes(each).hex().encode()] for each in numbered_ids(count)]
    sources = [[f"row {row}".encode()] for row in range(count)]
    batch = pa.record_batch({"id": hex_ids, "source": sources, **features})
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in encode_examples(batch):
            writer.write(example)
    return [str(path)]


def decode_thumbnail(png):
    with Image.open(io.BytesIO(png)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def make_png(width, height, colour):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(buffer, format="PNG")
    return [buffer.getvalue()]


def test_thumbnails_of_images_are_small_and_keep_the_aspect_ratio(tmp_path):
    images = [make_png(8, 4, "red"), make_png(300, 100, "lime"), make_png(9, 9, "black")]
    files = write_raw_examples(tmp_path / "raw", {"image": images})
    inputs = InputSpec(kind="image", size=(32, 32), channels=3)
    tiny, wide = map(decode_thumbnail, render_thumbnails(files, inputs, numbered_ids(2)))
    assert (tiny.shape, wide.shape) == ((4, 8, 3), (21, 64, 3))
    assert (tiny == [255, 0, 0]).all()
    assert (wide == [0, 255, 0]).all()
    grey = inputs.model_copy(update={"channels": 1})
    first = decode_thumbnail(render_thumbnails(files, grey, numbered_ids(1))[0])
    assert (first == first[0, 0, 0]).all()


def test_thumbnails_of_vectors_are_strips_with_a_colour_scale_per_column(tmp_path):
    floats = pa.list_(pa.float32())
    first = pa.array([[2], [-2], [0]], floats)
    second = pa.array([[0], [50], [100]], floats)
    files = write_raw_examples(tmp_path / "raw", {"a": first, "b": second})
    inputs = InputSpec(kind="vector", columns=(Column(name="a"), Column(name="b")))
    strips = [decode_thumbnail(png) for png in render_thumbnails(files, inputs, numbered_ids(3))]
    assert {strip.shape for strip in strips} == {(64, 16, 3)}
    colours = [strip[[10, 50], 5].tolist() for strip in strips]
    assert colours == [
        [[255, 0, 0], [255, 255, 255]],
        [[0, 0, 255], [255, 128, 128]],
        [[255, 255, 255], [255, 0, 0]],
    ]


def test_missing_examples_are_an_error(tmp_path):
    files = write_raw_examples(tmp_path / "raw", {"image": [make_png(8, 4, "red")]})
    inputs = InputSpec(kind="image", size=(8, 8), channels=3)
    with pytest.raises(DataError, match="2 of 3 examples of the test pairs are missing"):
        render_thumbnails(files, inputs, numbered_ids(3))
