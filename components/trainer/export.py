"""Export of the preprocessing, the encoder and the threshold as one SavedModel."""

import math
from pathlib import Path
from typing import Any

import tensorflow as tf

from diptych.components.common.images import GRAPH_FORMATS
from diptych.components.common.plain_paths import plain_path
from diptych.components.trainer.distances import LearnedL1Distance
from diptych.components.trainer.network import Network
from diptych.schemas import input_spec as features
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.model_card import ModelCard


def export_model(
    network: Network, transform_graph: Path, inputs: InputSpec, threshold: float, path: Path
) -> None:
    """Write a SavedModel that accepts raw inputs, and its model card.

    Signatures (the batch dimension is free):
      ``embed``: ``image`` (batch,), bytes of PNG or JPEG, or ``vector`` (batch, d) float32 in the
        order of the data's columns. Returns ``embedding`` (batch, size).
      ``serving_default``: Same as ``embed``; servers use it for requests without a signature name.
      ``measure``: ``left`` and ``right`` (batch, size) embeddings. Returns ``distance`` (batch,),
        lower means more similar; ``same`` (batch,) bool, ``distance <= threshold``; ``threshold``
        (batch,).
      ``compare``: ``left`` and ``right`` raw inputs as for ``embed``. Returns the same as
        ``measure``.
      ``reconstruct``, only if the network has a decoder: raw inputs as for ``embed``. Returns
        ``input`` (batch, *shape), the preprocessed inputs of the encoder, and ``reconstruction``,
        their reconstructions; pixels are in [0, 1].

    Programs that do not load TensorFlow read inputs, distance and threshold from the card, see
    ``diptych.schemas.model_card``.

    Args:
      network: The trained network.
      transform_graph: Folder of the transform graph artifact.
      inputs: Features of a raw example.
      threshold: The calibrated threshold, in the unit of the distance.
      path: Folder to write.
    """
    path.mkdir(parents=True, exist_ok=True)
    with plain_path(transform_graph) as plain_graph, plain_path(path) as plain:
        _write_model(network, plain_graph, inputs, threshold, plain)
    distance = network.distance
    ModelCard(
        inputs=inputs,
        embedding_size=network.encoder.output_shape[-1],
        distance=distance.distance_name,
        distance_weights=(
            tuple(distance.dimension_weights) if isinstance(distance, LearnedL1Distance) else None
        ),
        lowest=distance.lower_bound,
        highest=distance.upper_bound if math.isfinite(distance.upper_bound) else None,
        threshold=threshold,
        image_formats=GRAPH_FORMATS if inputs.kind == "image" else (),
    ).write(path)


def _write_model(
    network: Network, transform_graph: Path, inputs: InputSpec, threshold: float, path: Path
) -> None:
    graph = tf.saved_model.load(str(transform_graph / "transform_fn"))
    preprocess = _make_preprocessor(graph, inputs)
    name = inputs.kind  # also the argument name of the signatures
    if inputs.kind == "image":
        spec = tf.TensorSpec([None], tf.string)
    else:
        spec = tf.TensorSpec([None, *inputs.shape.shape], tf.float32)

    def preprocess_and_embed(raw: tf.Tensor) -> tf.Tensor:
        return network.encoder(preprocess(raw), training=False)

    def embed(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"embedding": preprocess_and_embed(raw[name])}

    def measure(left: tf.Tensor, right: tf.Tensor) -> dict[str, tf.Tensor]:
        distance = network.distance(left, right)
        constant = tf.constant(threshold, tf.float32)
        return {
            "distance": distance,
            "same": distance <= constant,
            "threshold": tf.fill(tf.shape(distance), constant),
        }

    def compare(left: tf.Tensor, right: tf.Tensor) -> dict[str, tf.Tensor]:
        return measure(preprocess_and_embed(left), preprocess_and_embed(right))

    module = tf.Module()
    # Only variables that the module tracks are saved.
    module.graph, module.variables_of_encoder = graph, _tf_variables(network.encoder)
    module.variables_of_distance = _tf_variables(network.distance)
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
        module.variables_of_decoder = _tf_variables(decoder)

        def reconstruct(**raw: tf.Tensor) -> dict[str, tf.Tensor]:
            x = preprocess(raw[name])
            scale = 1 / 255 if inputs.kind == "image" else 1.0
            decoded = decoder.reconstruct(network.encoder(x, training=False))
            return {"input": tf.cast(x, tf.float32) * scale, "reconstruction": decoded}

        signatures["reconstruct"] = tf.function(reconstruct).get_concrete_function(**raw_spec)
    tf.saved_model.save(module, str(path), signatures=signatures)


def _tf_variables(part: Any) -> list[tf.Variable]:
    """Return the TensorFlow variables inside the Keras variables.

    Keras variables would be saved twice: one that is restored, and one that the signatures read.
    Python merges the two on loading, but TensorFlow Serving does not, and finds no weights.
    """
    return [variable.value for variable in part.variables]


def _make_preprocessor(graph: Any, inputs: InputSpec) -> Any:
    """Create a function from raw inputs to the encoder's input, with the transform graph."""
    ((feature_specs,), _) = graph.transform_fn.structured_input_signature

    def preprocess(raw: tf.Tensor) -> tf.Tensor:
        known = _split_features(raw, inputs)
        # The graph takes all features of an example. The embedding does not depend on those that
        # only training has (label, id), so they are empty here.
        feeds = {
            name: (
                _match_spec(known[name], spec)
                if name in known
                else _empty_feature(spec, tf.shape(raw)[0])
            )
            for name, spec in feature_specs.items()
        }
        outputs = graph.transform_fn(feeds)
        x = outputs[features.LEFT if inputs.paired else features.X]
        if inputs.kind == "image":
            return tf.reshape(tf.io.decode_raw(x, tf.uint8), [-1, *inputs.shape.shape])
        return tf.ensure_shape(x, [None, *inputs.shape.shape])

    return preprocess


def _match_spec(value: tf.Tensor, spec: Any) -> Any:
    """Convert a value to its spec: sparse if an imported schema does not state the shape."""
    if isinstance(spec, tf.SparseTensorSpec):
        return _to_sparse(tf.cast(value, spec.dtype))
    return tf.cast(tf.reshape(value, [-1, *spec.shape[1:]]), spec.dtype)


def _empty_feature(spec: Any, batch_size: Any) -> Any:
    if isinstance(spec, tf.SparseTensorSpec):
        return _to_sparse(tf.zeros([batch_size, 1], spec.dtype))
    return tf.zeros([batch_size, *spec.shape[1:]], spec.dtype)


def _to_sparse(dense: tf.Tensor) -> tf.SparseTensor:
    """Convert all values to a sparse tensor; ``tf.sparse.from_dense`` would drop the zeros."""
    shape = tf.shape(dense, tf.int64)
    indices = tf.where(tf.ones(shape, tf.bool))
    return tf.SparseTensor(indices, tf.reshape(dense, [-1]), shape)


def _split_features(raw: tf.Tensor, inputs: InputSpec) -> dict[str, tf.Tensor]:
    """Split raw inputs into features by name."""
    # For paired data, the graph requires both sides; only the output for the left one is used.
    if inputs.kind == "image":
        sides = (features.IMAGE, features.RIGHT_IMAGE) if inputs.paired else (features.IMAGE,)
        return dict.fromkeys(sides, raw[:, None])
    widths = [column.width for column in inputs.columns]
    parts = tf.split(raw, widths, axis=1)
    by_name = dict(zip((column.name for column in inputs.columns), parts, strict=True))
    if inputs.paired:
        names = (column.name for column in inputs.right_columns)
        by_name |= dict(zip(names, parts, strict=True))
    return by_name
