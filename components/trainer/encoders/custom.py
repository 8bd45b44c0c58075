"""Encoders built by a function of the user."""

import importlib
from collections.abc import Callable

import keras

from diptych.components.common.import_path import prepare_encoder_import
from diptych.schemas.config.model import CustomEncoder
from diptych.schemas.errors import ConfigError


def build_custom_encoder(
    inputs: keras.KerasTensor, settings: CustomEncoder, embedding_size: int
) -> keras.KerasTensor:
    """Apply the Keras model that ``module:function`` returns for an input shape and embedding size.

    Returns:
      (batch, embedding_size).

    Raises:
      ConfigError: If the function cannot be imported, or does not return a Keras model with one
        output of this size.
    """
    name = settings.name
    model = _import_function(name)(tuple(inputs.shape[1:]), embedding_size)
    if not isinstance(model, keras.Model) or len(model.outputs) != 1:
        raise ConfigError(
            f"model.encoder {name} must return a Keras model with one output, "
            f"got {type(model).__name__}."
        )
    embedding = model(inputs)
    if tuple(embedding.shape) != (None, embedding_size):
        raise ConfigError(
            f"model.encoder {name} must return embeddings of shape "
            f"(batch, {embedding_size}), got {tuple(embedding.shape)}. Use the size that the "
            "function receives."
        )
    return embedding


def _import_function(path: str) -> Callable[[tuple[int, ...], int], object]:
    module_name, _, function_name = path.partition(":")
    prepare_encoder_import(path)
    try:
        function: Callable[[tuple[int, ...], int], object] = getattr(
            importlib.import_module(module_name), function_name
        )
    except (ImportError, AttributeError) as error:
        raise ConfigError(
            f"model.encoder {path} cannot be imported: {error}. Expected package.module:function, "
            "installed or in the directory in which diptych runs. From there, only the named "
            "package or module is imported: put other modules that it uses into the package."
        ) from error
    return function
