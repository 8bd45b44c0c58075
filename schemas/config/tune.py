"""The section ``tune``: what ``diptych tune`` varies, and how often."""

import math
from typing import Annotated, Any

import pydantic
from pydantic import Field, FiniteFloat, NonNegativeInt, PositiveFloat, PositiveInt

from diptych.schemas.config.section import Section

# Where a trial runs; it comes out the same wherever that is.
PLACEMENT = (
    "checkpoint_steps",
    "max_failures",
    "num_workers",
    "cpus_per_worker",
    "gpus_per_worker",
    "resources_timeout_s",
    "ray_address",
)
_SECTIONS = ("pairs", "model", "train")
_OF_DATA = ("data.size", "data.channels")  # others would change which examples are in a split


class Range(Section):
    """The values that a key may take: one of these four."""

    choice: Annotated[tuple[Any, ...], Field(min_length=1)] | None = None
    uniform: tuple[FiniteFloat, FiniteFloat] | None = None
    log_uniform: tuple[FiniteFloat, FiniteFloat] | None = None
    int_uniform: tuple[int, int] | None = None  # both ends included

    @pydantic.model_validator(mode="after")
    def _is_one(self) -> "Range":
        if sum(value is not None for value in self._all().values()) != 1:
            raise ValueError(f"needs exactly one of {', '.join(type(self).model_fields)}")
        if self.choice is None:
            low, high = self.ends
            if not low < high:
                raise ValueError(f"needs the lower end first, got [{low:g}, {high:g}]")
            if self.log_uniform is not None and low <= 0:
                raise ValueError(f"log_uniform needs ends above 0, got [{low:g}, {high:g}]")
        return self

    @pydantic.model_serializer
    def _only_the_one(self) -> dict[str, Any]:
        return {name: value for name, value in self._all().items() if value is not None}

    def _all(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in type(self).model_fields}

    @property
    def ends(self) -> tuple[Any, ...]:
        """The values to try if the range is to be checked: lowest and highest, or each choice."""
        return self.choice or self.uniform or self.log_uniform or self.int_uniform or ()

    def at(self, share: float) -> Any:
        """The value that a share of the range, in [0, 1), lies below.

        Numbers have 4 significant digits, so that what is shown is what was trained with.
        """
        if self.choice is not None:
            return self.choice[int(share * len(self.choice))]
        low, high = self.ends
        if self.int_uniform is not None:
            return low + int(share * (high - low + 1))
        if self.log_uniform is not None:
            value = low * math.exp(share * math.log(high / low))
        else:
            value = low + share * (high - low)
        return min(max(float(f"{value:.4g}"), low), high)


class Tune(Section):
    """Trials with other values, judged on the calibration split."""

    trials: PositiveInt = 20
    # A trial that is not among the best third of those as far as itself is stopped: at this
    # epoch, three times as many, nine times ...
    grace_epochs: PositiveInt = 2
    gpus_per_trial: PositiveFloat = 1.0  # where there are GPUs; 0.5: two trials share one
    seed: NonNegativeInt = 0
    # By key: {train.learning_rate: {log_uniform: [1e-4, 1e-2]}}
    space: dict[str, Range] = Field(default={})

    @pydantic.field_validator("space")
    @classmethod
    def _keys(cls, space: dict[str, Range]) -> dict[str, Range]:
        for key, values in space.items():
            section, _, rest = key.partition(".")
            if key not in _OF_DATA and (section not in _SECTIONS or not rest):
                raise ValueError(
                    f"{key} cannot be varied: keys of {', '.join(_SECTIONS)} can, such as "
                    f"train.learning_rate, and {' and '.join(_OF_DATA)}"
                )
            if section == "train" and rest in PLACEMENT:
                raise ValueError(f"{key} says where a trial runs, which changes no result")
            if rest.startswith("evaluation_"):
                raise ValueError(f"{key} cannot be varied: all trials are judged on the same pairs")
            if section in ("data", "pairs") and values.choice is None:
                raise ValueError(f"{key} takes choice alone: each value needs pairs of its own")
            inner = [other for other in space if other.startswith(key + ".")]
            if inner:
                raise ValueError(f"{inner[0]} lies within {key}: vary one of them")
        return space
