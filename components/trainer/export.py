"""The exported model: preprocessing, encoder and threshold in one SavedModel."""

import json
import math
from pathlib import Path
from typing import Any

import tensorflow as tf

from diptych.components.trainer.distances import LearnedL1
from diptych.components.trainer.network import Network
from diptych.schemas import input_spec as features
from diptych.schemas.input_spec import Inputs


def export_model(
    network: Network, transform_graph: Path, inputs: Inputs, threshold: float, path: Path
) -> None:
    """Writes a SavedModel that takes raw inputs.

    Signatures (batch dimension free):
      ``embed``: ``image`` (batch,) encoded bytes, or ``vector`` (batch, d) float32 in the order of
        the data's columns, to ``embedding`` (batch, size).
      ``serving_default``: the same; servers call it where a request names no signature.
      ``measure``: ``left`` and ``right`` (batch, size) embeddings, to ``distance`` (batch,), lower
        is more alike; ``same`` (batch,) bool, whether it is at most the threshold; ``threshold``.
      ``compare``: ``left`` and ``right`` as ``embed`` takes them, to the same as ``measure``.
      ``reconstruct``, of a network with a decoder: as ``embed``, to ``input`` (batch, *shape), what
        the encoder is given, and ``reconstruction``, the same as decoded; pixels in [0, 1].

    ``assets.extra/diptych.json`` says the same for programs that do not load TensorFlow.

    Args:
      network: the trained one.
      transform_graph: folder of the artifact of Transform.
      inputs: what a raw example holds.
      threshold: the calibrated one, in the unit of the distance.
      path: folder to write; must not exist.
    """
    graph = tf.saved_model.load(str(transform_graph / "transform_fn"))
    preprocess = _preprocessing(graph, inputs)
    name = inputs.kind
    if inputs.kind == "image":
        spec = tf.TensorSpec([None], tf.string)
    else:
        spec = tf.TensorSpec([None, *inputs.shape.shape], tf.float32)

    def embedding_of(raw: tf.Tensor) -> tf.Tensor:
        return network.encoder(preprocess(raw), training=False)

    def embed(**raw: tf.Tensor) -> dict[str, tf.Tensor]:  # named after the kind of input
        return {"embedding": embedding_of(raw[name])}

    def measure(left: tf.Tensor, right: tf.Tensor) -> dict[str, tf.Tensor]:
        distance = network.distance(left, right)
        limit = tf.constant(threshold, tf.float32)
        return {
            "distance": distance,
            "same": distance <= limit,
            "threshold": tf.fill(tf.shape(distance), limit),
        }

    def compare(left: tf.Tensor, right: tf.Tensor) -> dict[str, tf.Tensor]:
        return measure(embedding_of(left), embedding_of(right))

    module = tf.Module()
    # The module keeps alive what the functions use; what is not tracked is not saved.
    module.graph, module.variables_of_encoder = graph, _variables_of(network.encoder)
    module.variables_of_distance = _variables_of(network.distance)
    size = network.encoder.output_shape[-1]
    raw_spec = {name: tf.TensorSpec(spec.shape, spec.dtype, name=name)}
    embed_raw = tf.function(embed).get_concrete_function(**raw_spec)
    signatures = {
        "serving_default": embed_raw,
        "embed": embed_raw,
        "measure": tf.function(measure).get_concrete_function(
            left=tf.TensorSpec([None, size], tf.float32, name="left"),
            right=tf.TensorSpec([None, size], tf.float32, name="right"),
        ),
        "compare": tf.function(compare).get_concrete_function(
            left=tf.TensorSpec(spec.shape, spec.dtype, name="left"),
            right=tf.TensorSpec(spec.shape, spec.dtype, name="right"),
        ),
    }
    if network.decoder is not None:
        decoder = network.decoder
        module.variables_of_decoder = _variables_of(decoder)

        def reconstruct(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
            x = preprocess(raw[name])
            scale = 1 / 255 if inputs.kind == "image" else 1.0
            decoded = decoder.reconstruct(network.encoder(x, training=False))
            return {"input": tf.cast(x, tf.float32) * scale, "reconstruction": decoded}

        signatures["reconstruct"] = tf.function(reconstruct).get_concrete_function(**raw_spec)
    tf.saved_model.save(module, str(path), signatures=signatures)
    card = {
        "inputs": inputs.model_dump(mode="json"),
        "embedding_size": size,
        "distance": network.distance.kind,
        "distance_weights": (
            network.distance.weights_of_parts if isinstance(network.distance, LearnedL1) else None
        ),
        "lowest": network.distance.low,
        "highest": network.distance.high if math.isfinite(network.distance.high) else None,
        "threshold": threshold,
    }
    extra = path / "assets.extra"
    extra.mkdir()
    (extra / "diptych.json").write_text(json.dumps(card, indent=2) + "\n", encoding="utf-8")


def _variables_of(part: Any) -> list[tf.Variable]:
    """TensorFlow's own variables, inside those of Keras.

    Those of Keras would be saved twice: one that is restored, and one that the signatures read.
    Python puts them together again, but TensorFlow Serving does not, and finds no weights.
    """
    return [variable.value for variable in part.variables]


def _preprocessing(graph: Any, inputs: Inputs) -> Any:
    """Raw inputs to the encoder's input, by the graph of Transform."""
    ((wanted,), _) = graph.transform_fn.structured_input_signature

    def preprocess(raw: tf.Tensor) -> tf.Tensor:
        known = _known_features(raw, inputs)
        # The graph takes every feature of an example; those that only training has (label, id)
        # are left empty, as the embedding does not depend on them.
        given = {
            name: _as(spec, known[name]) if name in known else _empty(spec, tf.shape(raw)[0])
            for name, spec in wanted.items()
        }
        outputs = graph.transform_fn(given)
        x = outputs[features.LEFT if inputs.paired else features.X]
        if inputs.kind == "image":
            return tf.reshape(tf.io.decode_raw(x, tf.uint8), [-1, *inputs.shape.shape])
        return tf.ensure_shape(x, [None, *inputs.shape.shape])

    return preprocess


def _as(spec: Any, value: tf.Tensor) -> Any:
    """The value as the graph takes it: sparse where an imported schema gives no shape."""
    if isinstance(spec, tf.SparseTensorSpec):
        return _every_value(tf.cast(value, spec.dtype))
    return tf.cast(tf.reshape(value, [-1, *spec.shape[1:]]), spec.dtype)


def _empty(spec: Any, batch: tf.Tensor) -> Any:
    if isinstance(spec, tf.SparseTensorSpec):
        return _every_value(tf.zeros([batch, 1], spec.dtype))
    return tf.zeros([batch, *spec.shape[1:]], spec.dtype)


def _every_value(dense: tf.Tensor) -> tf.SparseTensor:
    """A sparse tensor of all values; ``tf.sparse.from_dense`` would lose the zeros."""
    shape = tf.shape(dense, tf.int64)
    places = tf.where(tf.ones(shape, tf.bool))
    return tf.SparseTensor(places, tf.reshape(dense, [-1]), shape)


def _known_features(raw: tf.Tensor, inputs: Inputs) -> dict[str, tf.Tensor]:
    if inputs.kind == "image":
        return {features.IMAGE: raw[:, None]}
    widths = [column.width for column in inputs.columns]
    parts = tf.split(raw, widths, axis=1)
    known = dict(zip((column.name for column in inputs.columns), parts, strict=True))
    # Data that came in pairs: the graph wants both halves, and the outcome of the left is used.
    if inputs.paired:
        names = (column.name for column in inputs.right_columns)
        known |= dict(zip(names, parts, strict=True))
    return known
