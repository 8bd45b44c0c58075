"""Starts from the weights of a model that was pushed before."""

from pathlib import Path

import numpy as np
import tensorflow as tf

from diptych.components.trainer.network import Network
from diptych.schemas.config.train import WARM_START_PUSHED, Train
from diptych.schemas.errors import ConfigError
from diptych.schemas.manifest import check_if_pushed
from diptych.schemas.versions import newest

# As ``export`` names what it saves; in the order of the network's parts.
_PARTS = ("variables_of_encoder", "variables_of_distance")


def start_from(path: Path, network: Network) -> None:
    """Gives the network the weights of a pushed model.

    The states of random seeds stay as they are, and so does the decoder, which is not pushed.

    Args:
      path: a pushed model, or a folder of versions, of which the newest is taken.
      network: of the same architecture.

    Raises:
      ConfigError: there is no such model, it is not one of ours, or of another architecture.
      ModelError: it is not as it was pushed.
    """
    version = newest_version(path)
    check_if_pushed(version)
    came = read_weights(version)
    wanted = [
        variable
        for part in (network.encoder, network.distance)
        for variable in part.variables
        if variable.dtype.startswith("float")
    ]
    shapes = [values.shape for values in came]
    for place, variable in enumerate(wanted):
        found = shapes[place] if place < len(shapes) else "none"
        if found != tuple(variable.shape):
            raise _misfit(version, f"{variable.path} needs {tuple(variable.shape)}, got {found}")
    if len(came) > len(wanted):
        raise _misfit(version, f"it needs {len(wanted)} weights, got {len(came)}")
    for variable, values in zip(wanted, came, strict=True):
        variable.assign(values)


def start_settled(train: Train, production: Path) -> Train:
    """Names the version to start from.

    Args:
      train: of which ``warm_start`` is a model, a folder of versions, ``pushed`` or None.
      production: what ``pushed`` means: a version, or a folder of them. Nothing has been pushed
        yet in the first run, which starts afresh.

    Raises:
      ConfigError: there is no such model.
    """
    start = train.warm_start
    if start == WARM_START_PUSHED:
        version = newest(production)
    else:
        version = None if start is None else newest_version(Path(start))
    return train.model_copy(update={"warm_start": None if version is None else str(version)})


def newest_version(path: Path) -> Path:
    """The model at a path: the path itself, or the folder in it with the highest number.

    Raises:
      ConfigError: there is none.
    """
    version = newest(path)
    if version is None:
        what = "has no model in it" if path.exists() else "is not there"
        raise ConfigError(
            f"train.warm_start needs a pushed model or a folder of their versions, and {path} "
            f"{what}. Correct the path, or leave train.warm_start out to start afresh."
        )
    return version


def read_weights(path: Path) -> list[np.ndarray]:
    """The weights of the encoder and of the distance in a pushed model, in their order.

    Read from its checkpoint alone: the graph is not loaded.

    Args:
      path: of a version.

    Returns:
      The floating ones; the others are states of random seeds.

    Raises:
      ConfigError: it is not a model that Diptych has pushed.
    """
    try:
        reader = tf.train.load_checkpoint(str(path / "variables" / "variables"))
        types = reader.get_variable_to_dtype_map()
    except (tf.errors.OpError, ValueError) as error:
        raise _foreign(path, error) from error
    values = []
    for part in _PARTS:
        keys = (f"{part}/{place}/.ATTRIBUTES/VARIABLE_VALUE" for place in range(len(types)))
        there = [key for key in keys if key in types and types[key].is_floating]
        values += [reader.get_tensor(key) for key in there]
    if not values:
        raise _foreign(path, "it has no variables_of_encoder")
    return values


def _foreign(path: Path, why: object) -> ConfigError:
    return ConfigError(
        f"train.warm_start needs a model that Diptych has pushed, and {path} is none: {why}. "
        "For other weights, use model.encoder with weights."
    )


def _misfit(path: Path, why: str) -> ConfigError:
    return ConfigError(
        f"train.warm_start {path} does not fit the network: {why}. Take the encoder, the "
        "embedding_size and the distance that it was trained with, or leave train.warm_start out."
    )
