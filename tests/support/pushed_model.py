"""Pushed models with fixed weights and known distances, created without a pipeline run.

The export and the manifest are real; only the training and the pass over the data are skipped.
"""

import shutil
import tempfile
from pathlib import Path

import numpy as np

from diptych.schemas.config.split import SplitConfig
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.manifest import ModelManifest, compute_digests

NAME = "birds"


def push_vectors(
    folder,
    version=1,
    columns=(("a", 1), ("b", 1)),
    right_columns=(),
    threshold=1.0,
    scale=1.0,
    label="species",
):
    """Push a version whose embedding is the vector times ``scale``; distances are Euclidean.

    Args:
      folder: Folder of the versions.
      version: Number of the version.
      columns: Names and widths of the columns.
      right_columns: Columns of the right side, for paired data.
      threshold: Calibrated threshold.
      scale: Factor of the embeddings.
      label: Name of the label column, or of the column ``same`` for paired data.

    Returns:
      Folder of the version.
    """
    left, right = (
        tuple(Column(name=name, width=width) for name, width in half)
        for half in (columns, right_columns)
    )
    inputs = InputSpec(kind="vector", columns=left, right_columns=right)
    data = {"kind": "table", "path": "/data/birds.csv", "label": label}
    if right:
        data = {"kind": "pairs", "path": "/data/birds.csv", "same": label}
    return _push_version(Path(folder), version, inputs, threshold, scale, data)


def push_images(
    folder,
    version=1,
    size=(8, 8),
    channels=1,
    threshold=0.25,
    scale=1.0,
    max_bytes=100_000,
    max_pixels=100_000,
):
    """Push a version whose embedding is the mean brightness, 0 to 1, of each quarter of an image.

    The quarters are top left, top right, bottom left, bottom right; distances are Euclidean: two
    plain grey images of brightness p and q are ``2 * scale * abs(p - q)`` apart.

    Args:
      folder: Folder of the versions.
      version: Number of the version.
      size: Height and width, both even.
      channels: 1 or 3.
      threshold: Calibrated threshold.
      scale: Factor of the embeddings.
      max_bytes: Maximum size of an image file.
      max_pixels: Maximum number of pixels of an image.

    Returns:
      Folder of the version.
    """
    inputs = InputSpec(kind="image", size=size, channels=channels)
    data = {
        "kind": "images",
        "path": "/data/birds",
        "size": list(size),
        "channels": channels,
        "max_bytes": max_bytes,
        "max_pixels": max_pixels,
    }
    return _push_version(Path(folder), version, inputs, threshold, scale, data)


def _push_version(folder, version, inputs, threshold, scale, data):
    from diptych.components.trainer.distances import EuclideanDistance
    from diptych.components.trainer.export import export_model
    from diptych.components.trainer.network import Network

    encoder = _build_encoder(inputs, scale)
    path = folder / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        _save_transform_graph(Path(scratch), inputs)
        export_model(
            Network(encoder, EuclideanDistance()),
            Path(scratch),
            inputs,
            threshold,
            Path(scratch) / "model",
        )
        shutil.copytree(Path(scratch) / "model", path)
    ModelManifest(
        name=NAME,
        version=version,
        created="2026-11-22T02:15:30+00:00",
        inputs=inputs,
        embedding_size=encoder.output_shape[-1],
        distance="euclidean",
        threshold=threshold,
        data={"span": "2026-11-22"},
        metrics={"accuracy": 0.97},
        configuration={"data": data, "split": SplitConfig().model_dump(mode="json")},
        packages={"diptych": "0.1.0"},
        files=compute_digests(path),
    ).write(path)
    return path


def _build_encoder(inputs, scale):
    from keras import Sequential, layers

    start = [layers.Input(inputs.shape.shape)]
    if inputs.kind == "image":
        height, width, channels = inputs.shape.shape
        start += [
            layers.Rescaling(1 / 255),
            layers.AveragePooling2D((height // 2, width // 2)),
            layers.Flatten(),
        ]
        weights = np.kron(np.eye(4), np.full((channels, 1), 1 / channels))
    else:
        weights = np.eye(inputs.shape.shape[0])
    projection = layers.Dense(weights.shape[1], use_bias=False)
    encoder = Sequential([*start, projection])
    projection.set_weights([weights * scale])
    return encoder


def _save_transform_graph(folder, inputs):
    """Save a transform graph like that of Transform, without statistics of the data."""
    import tensorflow as tf

    from diptych.components.common.images import decode_image
    from diptych.schemas import input_spec as features

    def pixels(encoded):
        image = decode_image(encoded, inputs.channels, inputs.size, inputs.background)
        length = inputs.size[0] * inputs.size[1] * inputs.channels
        return tf.strings.substr(tf.io.serialize_tensor(image), -length, length)

    def transform(raw):
        if inputs.kind == "image":
            encoded = tf.reshape(raw[features.IMAGE], [-1])
            return {features.X: tf.map_fn(pixels, encoded, fn_output_signature=tf.string)}
        halves = {features.X: inputs.columns}
        if inputs.paired:
            halves = {features.LEFT: inputs.columns, features.RIGHT: inputs.right_columns}
        return {
            name: tf.concat([raw[column.name] for column in half], axis=1)
            for name, half in halves.items()
        }

    text = tf.TensorSpec([None, 1], tf.string)
    signature = {features.LABEL: text, features.ID: text, features.SOURCE: text}
    if inputs.kind == "image":
        signature[features.IMAGE] = text
    for column in (*inputs.columns, *inputs.right_columns):
        signature[column.name] = tf.TensorSpec([None, column.width], tf.float32)
    graph = tf.Module()
    graph.transform_fn = tf.function(transform).get_concrete_function(signature)
    tf.saved_model.save(graph, str(folder / "transform_fn"))
