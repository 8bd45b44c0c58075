"""Warm start: initialize the network with the weights of a pushed model."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from diptych.components.trainer.network import Network
from diptych.schemas.config.train import PUSHED_MODEL, TrainConfig
from diptych.schemas.errors import ConfigError
from diptych.schemas.manifest import verify_if_pushed
from diptych.schemas.versions import newest_version

# Attributes of the exported module, in the order of the network's parts; see ``export``.
_EXPORTED_VARIABLES = ("variables_of_encoder", "variables_of_distance")


def load_warm_start_weights(path: Path, network: Network) -> None:
    """Load the weights of a pushed model into the network.

    Seed generator states do not change, nor does the decoder, which is not pushed.

    Args:
      path: A pushed model, or a folder of versions, of which the newest is used.
      network: Network of the same architecture.

    Raises:
      ConfigError: If the model is missing, was not pushed by Diptych, or has another architecture.
      ModelError: If the files differ from those that were pushed.
    """
    version = find_warm_start_model(path)
    verify_if_pushed(version)
    weights = read_pushed_weights(version)
    variables = [
        variable
        for part in (network.encoder, network.distance)
        for variable in part.variables
        if variable.dtype.startswith("float")
    ]
    shapes = [values.shape for values in weights]
    for index, variable in enumerate(variables):
        shape = shapes[index] if index < len(shapes) else "none"
        if shape != tuple(variable.shape):
            raise _architecture_error(
                version, f"{variable.path} needs {tuple(variable.shape)}, got {shape}"
            )
    if len(weights) > len(variables):
        raise _architecture_error(version, f"it needs {len(variables)} weights, got {len(weights)}")
    for variable, values in zip(variables, weights, strict=True):
        variable.assign(values)


def resolve_warm_start(settings: TrainConfig, production: Path) -> TrainConfig:
    """Replace ``warm_start`` with the path of one version.

    Args:
      settings: ``warm_start`` is a model, a folder of versions, ``pushed`` or None.
      production: Model for ``pushed``: a version, or a folder of versions. In the first run it is
        missing, and training starts from scratch.

    Raises:
      ConfigError: If the model is missing.
    """
    warm_start = settings.warm_start
    if warm_start == PUSHED_MODEL:
        version = newest_version(production)
    else:
        version = None if warm_start is None else find_warm_start_model(Path(warm_start))
    return settings.model_copy(update={"warm_start": None if version is None else str(version)})


def find_warm_start_model(path: Path) -> Path:
    """Return the model at a path: the path itself, or the newest version in the folder.

    Raises:
      ConfigError: If the path contains no model.
    """
    version = newest_version(path)
    if version is None:
        problem = "contains no model" if path.exists() else "does not exist"
        raise ConfigError(
            f"train.warm_start must be a pushed model or a folder of its versions, but {path} "
            f"{problem}. Correct the path, or remove train.warm_start to start from scratch."
        )
    return version


def read_pushed_weights(version: Path) -> list[np.ndarray]:
    """Read the weights of encoder and distance from a pushed model, in the network's order.

    Reads the checkpoint only, without loading the graph.

    Args:
      version: Folder of the version.

    Returns:
      The floating-point weights, without the integer states of seed generators.

    Raises:
      ConfigError: If the model was not pushed by Diptych.
    """
    try:
        reader = tf.train.load_checkpoint(str(version / "variables" / "variables"))
        dtypes = reader.get_variable_to_dtype_map()
    except (tf.errors.OpError, ValueError) as error:
        raise _foreign_model_error(version, error) from error
    weights = []
    for attribute in _EXPORTED_VARIABLES:
        keys = (f"{attribute}/{index}/.ATTRIBUTES/VARIABLE_VALUE" for index in range(len(dtypes)))
        float_keys = [key for key in keys if key in dtypes and dtypes[key].is_floating]
        weights += [reader.get_tensor(key) for key in float_keys]
    if not weights:
        raise _foreign_model_error(version, "it has no variables_of_encoder")
    return weights


def _foreign_model_error(path: Path, reason: object) -> ConfigError:
    return ConfigError(
        f"train.warm_start must be a model that Diptych has pushed, but {path} is not: {reason}. "
        "For other pretrained weights, use model.encoder with weights."
    )


def _architecture_error(path: Path, mismatch: str) -> ConfigError:
    return ConfigError(
        f"train.warm_start {path} does not fit the network: {mismatch}. Use the encoder, the "
        "embedding_size and the distance that it was trained with, or remove train.warm_start."
    )
