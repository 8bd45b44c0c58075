"""What is trained: encoder, distance and, if asked for, decoder."""

import dataclasses
from typing import Any

import keras
import numpy as np

from diptych.components.trainer.decoder import Decoder, build_decoder
from diptych.components.trainer.distances import PairDistance, make_distance
from diptych.components.trainer.encoders import build_encoder
from diptych.schemas.config.model import Model
from diptych.schemas.shards import InputShape


@dataclasses.dataclass(frozen=True)
class Network:
    """The parts with weights, in the order in which their weights are listed."""

    encoder: keras.Model
    distance: PairDistance
    decoder: Decoder | None = None

    @property
    def parts(self) -> list[Any]:
        """The parts that are there."""
        there = [self.encoder, self.distance, self.decoder]
        return [part for part in there if part is not None]

    @property
    def trainable_variables(self) -> list[Any]:
        """Of all parts."""
        return [variable for part in self.parts for variable in part.trainable_variables]

    @property
    def variables(self) -> list[Any]:
        """Of all parts, with the statistics of normalisation layers and states of seeds."""
        return [variable for part in self.parts for variable in part.variables]

    def get_weights(self) -> list[np.ndarray]:
        """Values of ``variables``."""
        return [np.array(variable.numpy()) for variable in self.variables]

    def set_weights(self, weights: list[np.ndarray]) -> None:
        """Takes what ``get_weights`` gave."""
        for variable, value in zip(self.variables, weights, strict=True):
            variable.assign(value)


def build_network(model: Model, shape: InputShape, precision: str = "float32") -> Network:
    """The network that the configuration asks for, with fresh weights.

    Args:
      model: the settings.
      shape: of an input.
      precision: of the encoder's layers; weights and embeddings are float32 under each.
    """
    encoder = build_encoder(model, shape, precision=precision)
    distance = make_distance(model.measured_by)
    distance.build((None, model.embedding_size), (None, model.embedding_size))
    decoder = None
    if model.decoder:
        decoder = build_decoder(model.decoder, model.embedding_size, shape)
    return Network(encoder, distance, decoder)
