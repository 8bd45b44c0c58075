import hashlib
from types import SimpleNamespace

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tfx.types import artifact_utils, standard_artifacts

from diptych.components.class_centroids import transforms
from diptych.components.class_centroids.component import ClassCentroids
from diptych.components.common import table_sums
from diptych.schemas.artifacts import Centroids
from diptych.schemas.centroids import CENTROID_UNIT, CENTROIDS_FILE, read_centroids
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.model_card import ModelCard

INPUTS = InputSpec(kind="vector", columns=(Column(name="a"), Column(name="b", width=2)))
SIZES = {b"large": 700, b"middle": 40, b"small": 3, b"one": 1}


def make_raw_examples():
    """Make raw examples in the format of ExampleGen, in one cluster per class."""
    generator = np.random.default_rng(0)
    for number, (label, size) in enumerate(SIZES.items()):
        for index in range(size):
            numbers = (number + 1 + 0.1 * generator.normal(size=3)).astype(np.float32)
            digest = hashlib.blake2b(b"%d %d" % (number, index), digest_size=16)
            features = {
                "a": tf.train.Feature(float_list=tf.train.FloatList(value=numbers[:1])),
                "b": tf.train.Feature(float_list=tf.train.FloatList(value=numbers[1:])),
                "id": tf.train.Feature(
                    bytes_list=tf.train.BytesList(value=[digest.hexdigest().encode()])
                ),
                "label": tf.train.Feature(bytes_list=tf.train.BytesList(value=[label])),
            }
            record = tf.train.Example(features=tf.train.Features(feature=features))
            yield numbers, label, record.SerializeToString()


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A SavedModel with the signature and the model card of an exported model, and its weights."""
    folder = tmp_path_factory.mktemp("model")
    weights = np.random.default_rng(1).normal(size=(3, 5)).astype(np.float32)
    module = tf.Module()
    module.weights = tf.Variable(weights)

    def embed(vector):
        return {"embedding": tf.math.l2_normalize(tf.tanh(vector @ module.weights), axis=1)}

    spec = tf.TensorSpec([None, 3], tf.float32, name="vector")
    signature = tf.function(embed).get_concrete_function(vector=spec)
    path = folder / "3"
    tf.saved_model.save(module, str(path), signatures={"embed": signature})
    ModelCard(
        inputs=INPUTS,
        embedding_size=5,
        distance="euclidean",
        lowest=0.0,
        highest=None,
        threshold=0.5,
    ).write(path)
    return SimpleNamespace(serving=folder, weights=weights)


@pytest.fixture
def compute_centroids(tmp_path):
    def run(records, serving, inputs=INPUTS, files=1):
        examples, centroids = standard_artifacts.Examples(), Centroids()
        folder = tmp_path / f"in{files}"
        examples.uri, centroids.uri = str(folder), str(tmp_path / f"out{files}")
        examples.split_names = artifact_utils.encode_split_names(["train"])
        (folder / "Split-train").mkdir(parents=True)
        for number in range(files):
            path = folder / "Split-train" / f"data_tfrecord-{number:05d}-of-{files:05d}.gz"
            with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
                for record in records[number::files]:
                    writer.write(record)
        ClassCentroids.test_call(
            examples=examples,
            centroids=centroids,
            production=str(serving),
            inputs=inputs.model_dump_json(),
            code_hash="",
            beam_pipeline=beam.Pipeline(runner=FnApiRunner()),
        )
        return centroids, tmp_path / f"out{files}"

    return run


def test_centroids_are_the_means_of_the_embeddings_of_raw_examples(compute_centroids, model):
    vectors, labels, records = zip(*make_raw_examples(), strict=True)
    artifact, folder = compute_centroids(records, model.serving)
    labels_read, points = read_centroids(folder)
    assert labels_read == sorted(SIZES)
    assert artifact.get_int_custom_property("num_classes") == 4
    embedding = np.tanh(np.stack(vectors) @ model.weights)
    embedding /= np.linalg.norm(embedding, axis=1, keepdims=True)
    for label, centroid in zip(labels_read, points * CENTROID_UNIT, strict=True):
        mean = embedding[np.array(labels) == label].mean(axis=0)
        complete = SIZES[label] <= 32
        assert centroid.tolist() == pytest.approx(mean.tolist(), abs=2e-5 if complete else 0.1)


def test_order_files_and_batches_do_not_affect_the_output(compute_centroids, model, monkeypatch):
    *_, records = zip(*make_raw_examples(), strict=True)
    _, folder = compute_centroids(records, model.serving)
    monkeypatch.setattr(transforms, "_READ_BATCH_SIZE", 17)
    monkeypatch.setattr(table_sums, "_MIN_ENTRIES", 1)
    shuffled = np.random.default_rng(2).permutation(len(records))
    _, again = compute_centroids([records[n] for n in shuffled], model.serving, files=5)
    assert (again / CENTROIDS_FILE).read_bytes() == (folder / CENTROIDS_FILE).read_bytes()


@pytest.mark.parametrize(
    ("has_model", "inputs", "reason"),
    [
        (False, INPUTS, "no model is in production yet"),
        (
            True,
            INPUTS.model_copy(update={"columns": (Column(name="a"), Column(name="c", width=2))}),
            "the model in production does not accept these inputs",
        ),
        (
            True,
            InputSpec(kind="image", size=(4, 4), channels=1),
            "the model in production does not accept these inputs",
        ),
    ],
)
def test_without_a_suitable_model_no_centroids_are_written_and_the_reason_is_reported(
    compute_centroids, model, caplog, has_model, inputs, reason
):
    with caplog.at_level("INFO", logger="diptych.progress"):
        artifact, folder = compute_centroids(
            [], model.serving if has_model else model.serving / "none", inputs
        )
    assert read_centroids(folder)[0] == []
    assert artifact.get_int_custom_property("num_classes") == 0
    assert artifact.get_string_custom_property("reason") == reason
    assert f"{reason}: negative pairs are random" in caplog.text
