"""Section ``tune`` of the configuration."""

import math
from typing import Annotated, Any

import pydantic
from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat, PositiveInt

from diptych.schemas.config.section import Section

# Keys of ``train`` that decide where a trial runs, but do not change its result.
PLACEMENT_KEYS = (
    "checkpoint_steps",
    "max_failures",
    "num_workers",
    "cpus_per_worker",
    "gpus_per_worker",
    "resources_timeout_s",
    "ray_address",
)
_SECTIONS = ("pairs", "model", "train")
_DATA_KEYS = ("data.size", "data.channels")  # others could change the split of an example


class SearchDomain(Section):
    """Values to try for a key: exactly one of these four."""

    choice: Annotated[tuple[Any, ...], Field(min_length=1)] | None = Field(
        default=None, description="List of values."
    )
    uniform: tuple[FiniteFloat, FiniteFloat] | None = Field(
        default=None, description="Bounds of a uniform distribution."
    )
    log_uniform: tuple[FiniteFloat, FiniteFloat] | None = Field(
        default=None, description="Bounds, above 0, of a distribution uniform in the logarithm."
    )
    int_uniform: tuple[int, int] | None = Field(
        default=None, description="Bounds of uniform integers, both inclusive."
    )

    @pydantic.model_validator(mode="after")
    def _check_domain(self) -> "SearchDomain":
        if sum(value is not None for value in self._fields().values()) != 1:
            raise ValueError(f"expected exactly one of {', '.join(type(self).model_fields)}")
        if self.choice is None:
            low, high = self.extreme_values
            if not low < high:
                raise ValueError(f"expected the lower bound first, got [{low:g}, {high:g}]")
            if self.log_uniform is not None and low <= 0:
                raise ValueError(f"log_uniform needs bounds above 0, got [{low:g}, {high:g}]")
        return self

    @pydantic.model_serializer
    def _serialize(self) -> dict[str, Any]:
        return {name: value for name, value in self._fields().items() if value is not None}

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    @property
    def extreme_values(self) -> tuple[Any, ...]:
        """Values that are enough to validate the domain: both bounds, or all choices."""
        return self.choice or self.uniform or self.log_uniform or self.int_uniform or ()

    def value_at(self, quantile: float) -> Any:
        """Return the value at a quantile in [0, 1).

        Numbers are rounded to 4 significant digits, so that the displayed value is the value used.
        """
        if self.choice is not None:
            return self.choice[int(quantile * len(self.choice))]
        low, high = self.extreme_values
        if self.int_uniform is not None:
            return low + int(quantile * (high - low + 1))
        if self.log_uniform is not None:
            value = low * math.exp(quantile * math.log(high / low))
        else:
            value = low + quantile * (high - low)
        return min(max(float(f"{value:.4g}"), low), high)


class TuneConfig(Section):
    """Hyperparameter search of ``diptych tune``, evaluated on the calibration split."""

    trials: PositiveInt = Field(default=20, description="Number of trials.")
    grace_epochs: PositiveInt = Field(
        default=2,
        description="Epochs before a trial may be stopped. A trial outside the best third is "
        "stopped after this number of epochs, three times as many, nine times as many, and so on.",
    )
    gpus_per_trial: PositiveFloat = Field(
        default=1.0,
        description="GPUs per trial, if the machines have any; 0.5: two trials share one.",
    )
    seed: NonNegativeInt = Field(
        default=0, description="Seed; different seeds give different trials."
    )
    space: dict[str, SearchDomain] = Field(
        default={},
        description="Values by key, such as {train.learning_rate: {log_uniform: [0.0001, 0.01]}}. "
        "Keys of `pairs`, `model` and `train`, and `data.size` and `data.channels`, can be varied.",
    )

    @pydantic.field_validator("space")
    @classmethod
    def _check_keys(cls, space: dict[str, SearchDomain]) -> dict[str, SearchDomain]:
        for key, domain in space.items():
            section, _, rest = key.partition(".")
            if key not in _DATA_KEYS and (section not in _SECTIONS or not rest):
                raise ValueError(
                    f"{key} cannot be varied: expected a key of {', '.join(_SECTIONS)}, such as "
                    f"train.learning_rate, or {' or '.join(_DATA_KEYS)}"
                )
            if section == "train" and rest in PLACEMENT_KEYS:
                raise ValueError(
                    f"{key} cannot be varied: it does not change the result of a trial"
                )
            if rest.startswith("evaluation_"):
                raise ValueError(
                    f"{key} cannot be varied: all trials are evaluated on the same pairs"
                )
            if section in ("data", "pairs") and domain.choice is None:
                raise ValueError(f"{key} needs a choice, because each value needs its own pair set")
            nested = [other for other in space if other.startswith(key + ".")]
            if nested:
                raise ValueError(f"{nested[0]} is part of {key}: vary only one of them")
        return space
