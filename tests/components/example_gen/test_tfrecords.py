import io

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.tfrecords import read_tfrecords
from diptych.schemas.config.data import TFRecords
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import ConfigError, DataError


def feature(value):
    if isinstance(value, bytes):
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
    if isinstance(value, int):
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))
    return tf.train.Feature(float_list=tf.train.FloatList(value=value))


def write(path, rows, compression="GZIP"):
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for row in rows:
            writer.write(row if isinstance(row, bytes) else serialize(row))
    return path


def serialize(row):
    features = {name: feature(value) for name, value in row.items()}
    message = tf.train.Example(features=tf.train.Features(feature=features))
    return message.SerializeToString()


def records(path, **options):
    return TFRecords(kind="tfrecord", path=str(path), **options)


def png(seed):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (4, 4), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def test_images_become_examples(tmp_path, ingest):
    rows = [{"jpg": png(i), "label": i % 3} for i in range(30)]
    write(
        tmp_path / "data.tfrecord-00000-of-00001",
        [*rows[:20], b"\xffjunk", {"jpg": b"no", "label": 1}],
        "",
    )
    without_label = [
        {"jpg": png(99)},
        {"jpg": png(99), "label": b""},
        {"jpg": png(99), "label": b" "},
    ]
    write(tmp_path / "more.gz", [*rows[20:], {"label": 1}, *without_label])
    run = ingest(records(tmp_path, image="jpg", max_rejected=0.2))
    examples = run.all_examples()
    assert sorted(e["image"] for e in examples) == sorted(row["jpg"] for row in rows)
    assert {e["label"] for e in examples} == {b"0", b"1", b"2"}
    assert run.reasons() == {
        "data.tfrecord-00000-of-00001:21": "not a tf.Example",
        "data.tfrecord-00000-of-00001:22": "not an image but text",
        "more.gz:11": "feature 'jpg' does not have exactly one value",
        "more.gz:12": "column 'label' has no value",
        "more.gz:13": "column 'label' has no value",
        "more.gz:14": "column 'label' has no value",
    }


def test_vectors_are_read(tmp_path):
    rows = [{"v": [float(i), 0.5], "y": f"c{i % 2}".encode(), "k": i} for i in range(6)]
    rows += [
        {"v": [1.0], "y": b"c1", "k": 7},
        {"y": b"c1", "k": 8},
        {"v": b"text", "y": b"c1", "k": 9},
    ]
    data = records(write(tmp_path / "t.tfrecord", rows), vector="v", label="y", id="k")
    inputs = infer_input_spec(
        records(write(tmp_path / "good.tfrecord", rows[:6]), vector="v", label="y"), SplitConfig()
    )
    assert inputs.shape.shape == (2,)
    chunks = list(read_tfrecords(tmp_path, "t.tfrecord", data, inputs, SplitConfig()))
    usable = [row for chunk in chunks for row in chunk.features.to_pylist()]
    assert [row["v"] for row in usable] == [[float(i), 0.5] for i in range(6)]
    assert len({row["id"][0] for row in usable}) == 6
    assert [source for chunk in chunks for source, _ in chunk.rejected] == [
        "t.tfrecord:7",
        "t.tfrecord:8",
        "t.tfrecord:9",
    ]


def test_a_truncated_file_raises_an_error(tmp_path):
    path = write(tmp_path / "t.tfrecord", [{"v": [1.0], "label": i} for i in range(9)], "")
    path.write_bytes(path.read_bytes()[:-3])
    with pytest.raises(DataError, match="damaged after record 8"):
        infer_input_spec(records(path, vector="v"), SplitConfig())


@pytest.mark.parametrize(
    ("rows", "options", "error", "match"),
    [
        ([], {"vector": "v"}, DataError, "No records"),
        ([b"\xffjunk"], {"vector": "v"}, DataError, "No record in .* is a tf.Example"),
        ([{"v": [1.0], "label": 1}], {"vector": "v"}, DataError, "at least 2 classes"),
        (
            [{"v": [1.0], "label": 1}],
            {"vector": "w"},
            ConfigError,
            "data.vector: the data have no column 'w'",
        ),
        ([{"v": [1.0], "label": 1}], {"image": "v"}, ConfigError, "must hold one encoded image"),
        ([{"v": b"x", "label": 1}], {"vector": "v"}, ConfigError, "must hold numbers, got"),
        ([{"source": [1.0], "label": 1}], {"vector": "source"}, ConfigError, "is reserved"),
        ([{"v": [1.0], "y": 1}], {"vector": "v"}, ConfigError, "no column 'label'"),
    ],
)
def test_invalid_features_raise_an_error_before_the_run(tmp_path, rows, options, error, match):
    path = write(tmp_path / "t.tfrecord", rows)
    with pytest.raises(error, match=match):
        infer_input_spec(records(path, **options), SplitConfig())
