"""Encoders: from one input to its embedding."""

from diptych.components.trainer.encoders.build import build_encoder

__all__ = ["build_encoder"]
