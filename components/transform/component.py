"""The preprocessing graph: raw features to the encoder's input and the number of the class.

Transform runs it over the examples, and the exported model carries the same graph, so that
training and serving cannot differ.
"""

from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from diptych.components.common.images import decode_image
from diptych.schemas import input_spec as features
from diptych.schemas.input_spec import Column, Inputs

_SMALLEST_DEVIATION = 1e-6  # below it a column is constant, and dividing would blow up noise


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Called by Transform.

    Args:
      inputs: raw features, (batch, width) each; see ``diptych.schemas.input_spec``.
      custom_config: ``inputs``, the JSON of an ``Inputs``.

    Returns:
      ``x``: raw uint8 pixels as a string (batch,) or standardised float32 (batch, d), with
      ``label``, ``class`` and ``id``; ``left`` and ``right`` in place of ``x`` for data that came
      in pairs, with ``same`` and the ids.
    """
    spec = Inputs.model_validate_json(custom_config["inputs"])
    if spec.paired:
        left, right = _vector(inputs, spec.columns), _vector(inputs, spec.right_columns)
        # Left and right are drawn from one population: one mean and deviation for both.
        mean, deviation = _moments(tf.concat([left, right], axis=0))
        return {
            features.LEFT: (left - mean) / deviation,
            features.RIGHT: (right - mean) / deviation,
            features.SAME: _flat(inputs[features.SAME]),
            features.ID: _flat(inputs[features.ID]),
            features.LEFT_ID: _flat(inputs[features.LEFT_ID]),
            features.RIGHT_ID: _flat(inputs[features.RIGHT_ID]),
        }
    label = _flat(inputs[features.LABEL])
    outputs = {
        features.LABEL: label,
        features.CLASS: tft.compute_and_apply_vocabulary(label, vocab_filename="classes"),
        features.ID: _flat(inputs[features.ID]),
    }
    if spec.kind == "image":
        outputs[features.X] = _pixels(_flat(inputs[features.IMAGE]), spec)
    else:
        vector = _vector(inputs, spec.columns)
        mean, deviation = _moments(vector)
        outputs[features.X] = (vector - mean) / deviation
    return outputs


def _flat(tensor: Any) -> tf.Tensor:
    return tf.reshape(_dense(tensor), [-1])


def _dense(tensor: Any) -> tf.Tensor:
    # An imported schema without shapes makes a feature sparse.
    return tf.sparse.to_dense(tensor) if isinstance(tensor, tf.SparseTensor) else tensor


def _vector(inputs: dict[str, Any], columns: tuple[Column, ...]) -> tf.Tensor:
    parts = [
        tf.reshape(tf.cast(_dense(inputs[column.name]), tf.float32), [-1, column.width])
        for column in columns
    ]
    return tf.concat(parts, axis=1)


def _moments(vector: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # An engine adds in an order of its own. In float64 that is too little to show in float32.
    wide = tf.cast(vector, tf.float64)
    mean = tf.cast(tft.mean(wide, reduce_instance_dims=False), tf.float32)
    deviation = tf.cast(tf.sqrt(tft.var(wide, reduce_instance_dims=False)), tf.float32)
    return mean, tf.where(deviation > _SMALLEST_DEVIATION, deviation, tf.ones_like(deviation))


def _pixels(encoded: tf.Tensor, spec: Inputs) -> tf.Tensor:
    length = spec.size[0] * spec.size[1] * spec.channels

    def raw(image: tf.Tensor) -> tf.Tensor:
        # TensorFlow has no inverse of decode_raw. A serialised tensor ends with its bytes, so
        # they are cut off its end.
        serialized = tf.io.serialize_tensor(decode_image(image, spec.channels, spec.size))
        return tf.strings.substr(serialized, -length, length)

    return tf.map_fn(raw, encoded, fn_output_signature=tf.string)
