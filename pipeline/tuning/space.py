"""Trials sampled from the search space. They depend only on the configuration and its seed."""

import dataclasses
import json
from typing import Any

from scipy.stats import qmc

from diptych.schemas.config.config import Config
from diptych.schemas.config.loading import checked_config
from diptych.schemas.errors import ConfigError

_MAX_SAMPLES_PER_TRIAL = 100  # until one is not a duplicate


@dataclasses.dataclass(frozen=True)
class Trial:
    """A configuration to train."""

    number: int  # from 1
    values: dict[str, Any]  # by key, in the order of ``tune.space``
    config: Config


def sample_trials(config: Config) -> list[Trial]:
    """Sample distinct trials from the search space.

    The samples are a scrambled Halton sequence. It covers the space more evenly than independent
    samples and finds better values in few trials (Bergstra & Bengio, "Random Search for
    Hyper-Parameter Optimization", JMLR 2012, section 5). A longer sequence starts with the same
    samples, so a larger ``tune.trials`` only adds trials.

    Returns:
      ``tune.trials`` trials, or fewer if the choices have fewer combinations.

    Raises:
      ConfigError: If the search space is empty, a key does not exist, or a value is invalid.
    """
    space = config.tune.space
    if not space:
        raise ConfigError(
            "tune.space is empty. Add the keys to vary, for example "
            "train.learning_rate: {log_uniform: [0.0001, 0.01]}."
        )
    tree = config.model_dump(mode="json")
    trials: list[Trial] = []
    sampled = set()
    sequence = qmc.Halton(len(space), rng=config.tune.seed)
    for quantiles in sequence.random(_MAX_SAMPLES_PER_TRIAL * config.tune.trials):
        domains = zip(space.items(), quantiles, strict=True)
        values = {key: domain.value_at(quantile) for (key, domain), quantile in domains}
        if (encoded := json.dumps(values)) in sampled:
            continue
        sampled.add(encoded)
        trials.append(Trial(len(trials) + 1, values, _config_with_values(tree, values)))
        if len(trials) == config.tune.trials:
            break
    # Validate values that are not sampled yet: more trials must not fail later.
    for key, domain in space.items():
        for value in domain.extreme_values:
            _config_with_values(tree, {**trials[0].values, key: value})
    return trials


def _config_with_values(tree: dict[str, Any], values: dict[str, Any]) -> Config:
    changed = json.loads(json.dumps(tree))
    for key, value in values.items():
        *sections, last = key.split(".")
        node = changed
        for depth, section in enumerate(sections):
            node = node.get(section)
            if not isinstance(node, dict):
                parent = ".".join(sections[: depth + 1])
                raise ConfigError(
                    f"tune.space has an unknown key {key}: {parent} is {node}. Set {parent} and "
                    "its settings in the configuration."
                )
        if last not in node:
            raise ConfigError(
                f"tune.space has an unknown key {key}. Keys of {'.'.join(sections)}: "
                f"{', '.join(node)}."
            )
        node[last] = value
    return checked_config(changed, "tune.space with " + format_values(values))


def format_values(values: dict[str, Any]) -> str:
    """Format the values of a trial in one line."""
    return ", ".join(f"{key} = {format_value(value)}" for key, value in values.items())


def format_value(value: Any) -> str:
    """Format a value of the configuration in a few characters."""
    if isinstance(value, dict):
        name = value.get("name", "")
        rest = ", ".join(
            f"{key}: {format_value(part)}" for key, part in value.items() if key != "name"
        )
        return f"{name} ({rest})" if name and rest else name or f"({rest})"
    return f"{value:g}" if isinstance(value, float) else str(value)
