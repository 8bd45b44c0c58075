"""Beam DoFn with a model that all its instances in a process share."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.utils.shared import Shared


class ModelDoFn(beam.DoFn):
    """Base class of DoFns that need a model; loads it once per process as ``self._model``.

    Beam's ``RunInference`` loads and shares models too, but it batches single examples: each row of
    the arrays that these DoFns embed would become a Python object.

    Args:
      load_model: Function or class that loads the model from its path.
      path: Path of the model.
    """

    def __init__(self, load_model: Callable[[Path], Any], path: Path) -> None:
        self._load_model, self._path = load_model, path
        self._shared = Shared()

    def setup(self) -> None:
        self._model = self._shared.acquire(
            lambda: self._load_model(self._path), tag=str(self._path)
        )
