"""Creation of the configured encoder: a body, the embedding layer and the normalization."""

import contextlib
from collections.abc import Iterator

import keras
from keras import layers

from diptych.components.trainer.encoders.application import build_application
from diptych.components.trainer.encoders.cnn import build_cnn, build_cnn_small
from diptych.components.trainer.encoders.custom import build_custom_encoder
from diptych.components.trainer.encoders.mlp import build_mlp
from diptych.schemas.config.model import Application, Cnn, CnnSmall, Mlp, ModelConfig
from diptych.schemas.shards import InputShape


def build_encoder(
    settings: ModelConfig, shape: InputShape, precision: str = "float32"
) -> keras.Model:
    """Build the configured encoder with random weights.

    Training depends on the number of workers in two ways only: dropout masks, because every worker
    samples them for its own examples; and the statistics of BatchNormalization layers in a backbone
    without pretrained weights or in a custom encoder.

    Args:
      settings: Section ``model``.
      shape: Shape of one input.
      precision: Keras dtype policy of the layers. The embedding and the layer that computes it are
        always float32.

    Returns:
      A model from (batch, *shape), pixels 0 to 255 or vectors, of any dtype, to
      (batch, embedding_size) float32; of unit length if ``settings.normalize``.

    Raises:
      ConfigError: If the backbone does not exist, the images are too small for it or its weights do
        not fit; or if a custom encoder cannot be imported or returns something else.
    """
    with _dtype_policy_scope(precision):
        # Float: a uint8 input would truncate the fractional pixel values of a rotated image.
        inputs = keras.Input(shape.shape, dtype="float32", name="x")
        embedding = _build_embedding(settings, inputs)
        if settings.normalize:
            embedding = layers.UnitNormalization(axis=-1, dtype="float32")(embedding)
        else:
            embedding = layers.Activation("linear", dtype="float32")(embedding)
        return keras.Model(inputs, embedding, name="encoder")


def _build_embedding(settings: ModelConfig, inputs: keras.KerasTensor) -> keras.KerasTensor:
    size = settings.embedding_size
    match settings.encoder or (CnnSmall() if len(inputs.shape) == 4 else Mlp()):
        case Mlp() as encoder:
            features = build_mlp(inputs, encoder)
        case CnnSmall() as encoder:
            features = build_cnn_small(inputs, encoder)
        case Cnn() as encoder:
            features = build_cnn(inputs, encoder)
        case Application() as encoder:
            features = build_application(inputs, encoder)
        case encoder:
            return build_custom_encoder(inputs, encoder, size)
    return layers.Dense(size, dtype="float32", name="embedding")(features)


@contextlib.contextmanager
def _dtype_policy_scope(name: str) -> Iterator[None]:
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(previous)
