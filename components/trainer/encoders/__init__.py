"""Encoders: Keras models from an input to its embedding."""

from diptych.components.trainer.encoders.build import build_encoder

__all__ = ["build_encoder"]
