"""The encoder of the configuration: a body, its embedding, and the embedding's length."""

import contextlib
from collections.abc import Iterator

import keras
from keras import layers

from diptych.components.trainer.encoders.application import application
from diptych.components.trainer.encoders.cnn import cnn, cnn_small
from diptych.components.trainer.encoders.custom import own_encoder
from diptych.components.trainer.encoders.mlp import mlp
from diptych.schemas.config.model import Application, Cnn, CnnSmall, Mlp, Model
from diptych.schemas.shards import InputShape


def build_encoder(settings: Model, shape: InputShape, precision: str = "float32") -> keras.Model:
    """The encoder that the configuration asks for.

    Two things in training depend on how many workers there are, and only they: which values
    dropout leaves out, as every worker draws them for the examples it has; and the statistics of
    the BatchNormalization layers in a backbone without weights of its own, or in the user's.

    Args:
      settings: of the section ``model``.
      shape: of one input.
      precision: the Keras dtype policy of its layers. The embedding is always float32, and so is
        the layer that makes it.

    Returns:
      A model from (batch, *shape), pixels 0 to 255 or numbers of a vector, of any type, to
      (batch, embedding_size) float32; of length 1 if ``settings.normalize``.

    Raises:
      ConfigError: there is no backbone of this name, the images are too small for it, its weights
        do not fit; the user's own function cannot be imported or does not return what it should.
    """
    with _dtype_policy(precision):
        # Floating: a uint8 input would cut the fractions off the pixels of a rotated image.
        inputs = keras.Input(shape.shape, dtype="float32", name="x")
        embedding = _embedding(settings, inputs)
        if settings.normalize:
            embedding = layers.UnitNormalization(axis=-1, dtype="float32")(embedding)
        else:
            embedding = layers.Activation("linear", dtype="float32")(embedding)
        return keras.Model(inputs, embedding, name="encoder")


def _embedding(settings: Model, inputs: keras.KerasTensor) -> keras.KerasTensor:
    size = settings.embedding_size
    match settings.encoder or (CnnSmall() if len(inputs.shape) == 4 else Mlp()):
        case Mlp() as encoder:
            features = mlp(inputs, encoder)
        case CnnSmall() as encoder:
            features = cnn_small(inputs, encoder)
        case Cnn() as encoder:
            features = cnn(inputs, encoder)
        case Application() as encoder:
            features = application(inputs, encoder)
        case encoder:
            return own_encoder(inputs, encoder, size)
    return layers.Dense(size, dtype="float32", name="embedding")(features)


@contextlib.contextmanager
def _dtype_policy(name: str) -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(name)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
