"""Which configurations are tried: a function of the configuration, its seed and nothing else."""

import dataclasses
import json
from typing import Any

from scipy.stats import qmc

from diptych.schemas.config.config import Config
from diptych.schemas.config.loading import checked_config
from diptych.schemas.errors import ConfigError

_DRAWS_PER_TRIAL = 100  # at most, until one is found that is not there yet


@dataclasses.dataclass(frozen=True)
class Trial:
    """One configuration to try."""

    number: int  # from 1
    values: dict[str, Any]  # by key, in the order of the configuration
    config: Config


def sample_trials(config: Config) -> list[Trial]:
    """Draws the trials, no two of them alike.

    The shares of the ranges are a scrambled Halton sequence, which leaves smaller gaps than
    independent draws do and finds better values in few trials (Bergstra & Bengio, "Random Search
    for Hyper-Parameter Optimization", JMLR 2012, section 5). Its beginning does not depend on its
    length: more trials are the same ones, and others.

    Returns:
      ``tune.trials`` of them, or fewer where there are no more combinations of choices.

    Raises:
      ConfigError: nothing is to be varied, a key does not exist, or a value does not fit.
    """
    space = config.tune.space
    if not space:
        raise ConfigError(
            "tune.space is empty. Name what to vary, such as "
            "train.learning_rate: {log_uniform: [0.0001, 0.01]}."
        )
    tree = config.model_dump(mode="json")
    trials: list[Trial] = []
    seen = set()
    sequence = qmc.Halton(len(space), rng=config.tune.seed)
    for shares in sequence.random(_DRAWS_PER_TRIAL * config.tune.trials):
        drawn = zip(space.items(), shares, strict=True)
        values = {key: domain.value_at(share) for (key, domain), share in drawn}
        if (one := json.dumps(values)) in seen:
            continue
        seen.add(one)
        trials.append(Trial(len(trials) + 1, values, _with(tree, values)))
        if len(trials) == config.tune.trials:
            break
    # What has not been drawn may come with the next trials; it must not fail only then.
    for key, domain in space.items():
        for end in domain.extreme_values:
            _with(tree, {**trials[0].values, key: end})
    return trials


def _with(tree: dict[str, Any], values: dict[str, Any]) -> Config:
    changed = json.loads(json.dumps(tree))
    for key, value in values.items():
        *sections, last = key.split(".")
        part = changed
        for depth, section in enumerate(sections):
            part = part.get(section)
            if not isinstance(part, dict):
                above = ".".join(sections[: depth + 1])
                raise ConfigError(
                    f"tune.space: there is no {key}, as {above} is {part}. Name it in the "
                    "configuration, with its settings."
                )
        if last not in part:
            raise ConfigError(
                f"tune.space: there is no {key}. {'.'.join(sections)} has {', '.join(part)}."
            )
        part[last] = value
    return checked_config(changed, "tune.space with " + format_values(values))


def format_values(values: dict[str, Any]) -> str:
    """The values of a trial in one line."""
    return ", ".join(f"{key} = {format_value(value)}" for key, value in values.items())


def format_value(value: Any) -> str:
    """A value of the configuration in a few characters."""
    if isinstance(value, dict):
        name = value.get("name", "")
        rest = ", ".join(f"{key}: {format_value(part)}" for key, part in value.items() if key != "name")
        return f"{name} ({rest})" if name and rest else name or f"({rest})"
    return f"{value:g}" if isinstance(value, float) else str(value)
