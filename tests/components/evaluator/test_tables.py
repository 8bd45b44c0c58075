import io

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diptych.components.evaluator.scored_pairs import Judged
from diptych.components.evaluator.tables import worst_pairs, write_tables
from diptych.components.evaluator.thumbnails import pictures_of
from diptych.components.example_gen.encoding import encode_examples
from diptych.schemas.errors import DataError
from diptych.schemas.evaluation import PAIRS, WORST_PAIRS, embeddings_schema
from diptych.schemas.input_spec import Column, Inputs
from diptych.schemas.shards import SplitPairs


def judged_of(*pairs):
    """Of (left, right, same, distance)."""
    left, right, same, distance = (np.array(column) for column in zip(*pairs, strict=True))
    return Judged(30, left, right, same, distance.astype(np.float32))


def test_the_worst_pairs_are_the_furthest_on_the_wrong_side_of_each_kind():
    judged = judged_of(
        (0, 1, 1, 0.6),  # a bit wrong
        (2, 3, 1, 0.9),  # far
        (4, 5, 0, 0.4),  # a bit
        (6, 7, 0, 0.1),  # far
        (8, 9, 0, 0.9),  # right
        (10, 11, 1, 0.5),  # at the threshold is the same, so right
    )
    assert worst_pairs(judged, 0.5).tolist() == [3, 2, 1, 0]


def test_a_pair_that_was_drawn_twice_is_there_once():
    judged = judged_of((0, 1, 1, 0.9), (1, 0, 1, 0.9), (0, 1, 1, 0.9))
    assert worst_pairs(judged, 0.5).tolist() == [0]


def test_one_example_does_not_fill_the_table():
    judged = judged_of(*((0, other, 1, 0.6 + other / 100) for other in range(1, 20)))
    assert worst_pairs(judged, 0.5).tolist() == [18, 17]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32), threshold=st.floats(0.05, 0.95))
def test_worst_pairs_are_wrong_and_few_whatever_the_pairs(seed, threshold):
    generator = np.random.default_rng(seed)
    left = generator.integers(0, 29, 300)
    right = generator.integers(left + 1, 30)
    same, distance = generator.integers(0, 2, 300), generator.uniform(size=300)
    judged = Judged(30, left, right, same, distance.astype(np.float32))
    worst = worst_pairs(judged, threshold)
    assert len(worst)
    assert not judged.right_at(threshold)[worst].any()
    assert np.bincount(same[worst], minlength=2).max() <= 12
    assert np.bincount(np.concatenate([left[worst], right[worst]])).max() <= 2
    off = np.abs(judged.distance[worst] - threshold)
    assert (np.diff(off)[np.diff(same[worst]) == 0] <= 0).all()


def numbered_ids(count):
    ids = np.zeros((count, 16), np.uint8)
    ids[:, 14], ids[:, 15] = np.divmod(np.arange(count), 256)
    return ids


def test_the_tables_have_their_schemas_and_pictures_of_the_right_examples(tmp_path):
    count, judged = 4000, judged_of((1, 3, 1, 0.9), (3, 2, 0, 0.1), (0, 1, 0, 0.9))
    classes = np.arange(count) % 3 - 1
    split = SplitPairs(
        ids=numbered_ids(count),
        shard=classes,
        row=classes,
        left=judged.left,
        right=judged.right,
        same=judged.same,
        labels=np.array([b"label%d" % row for row in range(count)], object),
        classes=classes,
        placed=[],
    )
    embeddings = np.arange(count * 2, dtype=np.float32).reshape(count, 2)
    write_tables(
        tmp_path, judged, 0.5, embeddings, split, lambda ids: [bytes(one[14:]) for one in ids]
    )
    pairs, worst, examples = (
        pq.read_table(tmp_path / f"{name}.parquet")
        for name in ("pairs", "worst_pairs", "embeddings")
    )
    assert pairs.schema == PAIRS
    assert worst.schema == WORST_PAIRS
    assert examples.schema == embeddings_schema(2)
    assert [one[15] for one in pairs["left"].to_pylist()] == [1, 3, 0]
    assert worst.drop_columns(["left", "right"]).to_pylist() == [
        {
            "same": same,
            "distance": pytest.approx(distance),
            "left_label": f"label{left}",
            "right_label": f"label{right}",
            "left_picture": bytes([0, left]),
            "right_picture": bytes([0, right]),
        }
        for same, distance, left, right in [(0, 0.1, 3, 2), (1, 0.9, 1, 3)]
    ]
    rows = examples.to_pylist()
    assert [row["seen"] for row in rows[:4]] == [False, True, True, False]
    assert rows[3]["embedding"] == [6, 7]
    shown = [row for row, one in enumerate(rows) if one["picture"] is not None]
    assert len(shown) == 2500
    assert np.diff(shown).max() == 2  # evenly
    assert all(rows[row]["picture"] == rows[row]["id"][14:] for row in shown)


def write_raw(path, features):
    """A TFRecord of raw examples; ids count up."""
    import tensorflow as tf

    (count,) = {len(values) for values in features.values()}
    hexadecimal = [[bytes(one).hex().encode()] for one in numbered_ids(count)]
    batch = pa.record_batch({"id": hexadecimal, **features})
    with tf.io.TFRecordWriter(str(path)) as writer:
        for example in encode_examples(batch):
            writer.write(example)
    return [str(path)]


def pixels_of(picture):
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def png_of(width, height, colour):
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, format="PNG")
    return [file.getvalue()]


def test_pictures_of_images_are_small_and_in_proportion(tmp_path):
    images = [png_of(8, 4, "red"), png_of(300, 100, "lime"), png_of(9, 9, "black")]
    files = write_raw(tmp_path / "raw", {"image": images})
    inputs = Inputs(kind="image", size=(32, 32), channels=3)
    tiny, wide = (pixels_of(one) for one in pictures_of(files, inputs, numbered_ids(2)))
    assert (tiny.shape, wide.shape) == ((4, 8, 3), (21, 64, 3))
    assert (tiny == [255, 0, 0]).all()
    assert (wide == [0, 255, 0]).all()
    grey = inputs.model_copy(update={"channels": 1})
    first = pixels_of(pictures_of(files, grey, numbered_ids(1))[0])
    assert (first == first[0, 0, 0]).all()


def test_pictures_of_vectors_are_strips_with_a_scale_for_each_column(tmp_path):
    floats = pa.list_(pa.float32())
    first = pa.array([[2], [-2], [0]], floats)
    second = pa.array([[0], [50], [100]], floats)
    files = write_raw(tmp_path / "raw", {"a": first, "b": second})
    inputs = Inputs(kind="vector", columns=(Column(name="a"), Column(name="b")))
    strips = [pixels_of(one) for one in pictures_of(files, inputs, numbered_ids(3))]
    assert {strip.shape for strip in strips} == {(64, 16, 3)}
    colours = [strip[[10, 50], 5].tolist() for strip in strips]
    assert colours == [
        [[255, 0, 0], [255, 255, 255]],
        [[0, 0, 255], [255, 128, 128]],
        [[255, 255, 255], [255, 0, 0]],
    ]


def test_an_example_that_is_not_there_is_said(tmp_path):
    files = write_raw(tmp_path / "raw", {"image": [png_of(8, 4, "red")]})
    with pytest.raises(DataError, match="2 of 3 examples of the test pairs are not among"):
        pictures_of(files, Inputs(kind="image", size=(8, 8), channels=3), numbered_ids(3))
