"""The preprocessing function: raw features to the encoder's input and the class index.

Transform runs it over the examples, and the exported model contains the same graph, so training
and serving cannot diverge.
"""

import re
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from diptych.components.common.images import map_decoded
from diptych.schemas import input_spec as features
from diptych.schemas.input_spec import Column, InputSpec

# A column with a smaller deviation is constant; dividing by it would amplify rounding noise.
_MIN_DEVIATION = 1e-6


def preprocessing_fn(inputs: dict[str, Any], custom_config: dict[str, Any]) -> dict[str, Any]:
    """Preprocess a batch of raw examples. Transform calls this function.

    Args:
      inputs: Raw features, (batch, width) each; see ``diptych.schemas.input_spec``.
      custom_config: ``inputs``, an ``InputSpec`` as JSON.

    Returns:
      ``x``: raw uint8 pixels as a string (batch,), or standardized float32 (batch, d); with
      ``label``, ``class`` and ``id``. Paired data has ``left`` and ``right`` instead of ``x``, with
      ``same`` and the ids.
    """
    spec = InputSpec.model_validate_json(custom_config["inputs"])
    if spec.paired:
        left, right = _preprocess_sides(inputs, spec)
        return {
            features.LEFT: left,
            features.RIGHT: right,
            features.SAME: _flatten_feature(inputs[features.SAME]),
            features.ID: _flatten_feature(inputs[features.ID]),
            features.LEFT_ID: _flatten_feature(inputs[features.LEFT_ID]),
            features.RIGHT_ID: _flatten_feature(inputs[features.RIGHT_ID]),
        }
    label = _flatten_feature(inputs[features.LABEL])
    outputs = {
        features.LABEL: label,
        features.CLASS: tft.compute_and_apply_vocabulary(
            _escape_line_breaks(label), vocab_filename="classes"
        ),
        features.ID: _flatten_feature(inputs[features.ID]),
    }
    if spec.kind == "image":
        outputs[features.X] = _decode_to_pixel_strings(
            _flatten_feature(inputs[features.IMAGE]), spec
        )
    else:
        vector = _concatenate_columns(inputs, spec.columns)
        mean, deviation = _mean_and_deviation(vector)
        outputs[features.X] = (vector - mean) / deviation
    return outputs


def _escape_line_breaks(text: tf.Tensor) -> tf.Tensor:
    """Escape line breaks: the vocabulary has one label per line, and TFT drops all others."""
    for character, escape in (("\\", r"\\"), ("\n", r"\n"), ("\r", r"\r")):
        text = tf.strings.regex_replace(text, re.escape(character), escape.replace("\\", r"\\"))
    return text


def _preprocess_sides(inputs: dict[str, Any], spec: InputSpec) -> tuple[tf.Tensor, tf.Tensor]:
    if spec.kind == "image":
        left, right = (
            _decode_to_pixel_strings(_flatten_feature(inputs[name]), spec)
            for name in (features.IMAGE, features.RIGHT_IMAGE)
        )
        return left, right
    left = _concatenate_columns(inputs, spec.columns)
    right = _concatenate_columns(inputs, spec.right_columns)
    # Left and right come from one population: use one mean and deviation for both.
    mean, deviation = _mean_and_deviation(tf.concat([left, right], axis=0))
    return (left - mean) / deviation, (right - mean) / deviation


def _flatten_feature(tensor: Any) -> tf.Tensor:
    return tf.reshape(_to_dense(tensor), [-1])


def _to_dense(tensor: Any) -> tf.Tensor:
    # An imported schema without shapes makes a feature sparse.
    return tf.sparse.to_dense(tensor) if isinstance(tensor, tf.SparseTensor) else tensor


def _concatenate_columns(inputs: dict[str, Any], columns: tuple[Column, ...]) -> tf.Tensor:
    parts = [
        tf.reshape(tf.cast(_to_dense(inputs[column.name]), tf.float32), [-1, column.width])
        for column in columns
    ]
    return tf.concat(parts, axis=1)


def _mean_and_deviation(vector: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    # The order of the summation depends on the Beam runner. In float64, the resulting differences
    # are too small to show in float32.
    wide = tf.cast(vector, tf.float64)
    mean = tf.cast(tft.mean(wide, reduce_instance_dims=False), tf.float32)
    deviation = tf.cast(tf.sqrt(tft.var(wide, reduce_instance_dims=False)), tf.float32)
    return mean, tf.where(deviation > _MIN_DEVIATION, deviation, tf.ones_like(deviation))


def _decode_to_pixel_strings(encoded: tf.Tensor, spec: InputSpec) -> tf.Tensor:
    num_bytes = spec.size[0] * spec.size[1] * spec.channels

    def to_pixel_string(image: tf.Tensor) -> tf.Tensor:
        # TensorFlow has no inverse of decode_raw. A serialized tensor ends with its bytes, so take
        # them from its end.
        return tf.strings.substr(tf.io.serialize_tensor(image), -num_bytes, num_bytes)

    return map_decoded(
        to_pixel_string, encoded, spec.channels, spec.size, spec.background, tf.string
    )
