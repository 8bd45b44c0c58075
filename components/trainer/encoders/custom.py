"""The user's own encoder."""

import importlib
from collections.abc import Callable

import keras

from diptych.schemas.config.model import OwnEncoder
from diptych.schemas.errors import ConfigError


def own_encoder(inputs: keras.KerasTensor, settings: OwnEncoder, size: int) -> keras.KerasTensor:
    """What ``module:function``, called with the input's shape and ``size``, makes of the inputs.

    Returns:
      (batch, size).

    Raises:
      ConfigError: the function cannot be imported, or does not return a Keras model with one
        output of this size.
    """
    name = settings.name
    body = _imported(name)(tuple(inputs.shape[1:]), size)
    if not isinstance(body, keras.Model) or len(body.outputs) != 1:
        raise ConfigError(
            f"model.encoder {name} must return a Keras model with one output, "
            f"got {type(body).__name__}."
        )
    embedding = body(inputs)
    if tuple(embedding.shape) != (None, size):
        raise ConfigError(
            f"model.encoder {name} must return embeddings of shape "
            f"(batch, {size}), got {tuple(embedding.shape)}."
        )
    return embedding


def _imported(path: str) -> Callable[[tuple[int, ...], int], object]:
    module_name, _, function_name = path.partition(":")
    try:
        function: Callable[[tuple[int, ...], int], object] = getattr(
            importlib.import_module(module_name), function_name
        )
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"model.encoder {path} cannot be imported: {error}. It must be importable from where "
            "diptych runs, as package.module:function."
        ) from error
    return function
