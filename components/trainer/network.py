"""The trained network: encoder, distance and optional decoder."""

import dataclasses
from typing import Any

import keras
import numpy as np

from diptych.components.trainer.decoder import Decoder, build_decoder
from diptych.components.trainer.distances import PairDistance, make_distance
from diptych.components.trainer.encoders import build_encoder
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.shards import InputShape


@dataclasses.dataclass(frozen=True)
class Network:
    """The parts with weights, in the order of ``variables``."""

    encoder: keras.Model
    distance: PairDistance
    decoder: Decoder | None = None

    @property
    def parts(self) -> list[Any]:
        """Encoder, distance and, if present, decoder."""
        parts = [self.encoder, self.distance, self.decoder]
        return [part for part in parts if part is not None]

    @property
    def trainable_variables(self) -> list[Any]:
        """Trainable variables of all parts."""
        return [variable for part in self.parts for variable in part.trainable_variables]

    @property
    def variables(self) -> list[Any]:
        """All variables, including normalization statistics and seed generator states."""
        return [variable for part in self.parts for variable in part.variables]

    def get_weights(self) -> list[np.ndarray]:
        """Return the values of ``variables``."""
        return [np.array(variable.numpy()) for variable in self.variables]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Assign the values returned by ``get_weights``."""
        for variable, value in zip(self.variables, weights, strict=True):
            variable.assign(value)


def build_network(model: ModelConfig, shape: InputShape, precision: str = "float32") -> Network:
    """Build the configured network with random weights.

    Args:
      model: Section ``model``.
      shape: Shape of one input.
      precision: Keras dtype policy of the encoder's layers; weights and embeddings are always
        float32.
    """
    encoder = build_encoder(model, shape, precision=precision)
    distance = make_distance(model.distance_name)
    distance.build((None, model.embedding_size), (None, model.embedding_size))
    decoder = None
    if model.decoder:
        decoder = build_decoder(model.decoder, model.embedding_size, shape)
    return Network(encoder, distance, decoder)
