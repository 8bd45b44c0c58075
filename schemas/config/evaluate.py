"""The section ``evaluate``: thresholds, figures, and when a model is good enough."""

from typing import Annotated

import pydantic
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from diptych.schemas.config.section import Section, Share

_Rate = Annotated[float, Field(gt=0, lt=1)]


class FewShotPlan(Section):
    """N-way k-shot episodes, each of every size of ways and shots."""

    ways: tuple[Annotated[int, Field(ge=2)], ...] = (5, 20)  # classes to choose from
    shots: tuple[PositiveInt, ...] = (1, 5)  # examples of each that are given
    episodes: PositiveInt = 1000


class Bars(Section):
    """What a model must reach on the test split, at its calibrated threshold; None: no bar."""

    accuracy: Share | None = 0.8
    precision: Share | None = None
    recall: Share | None = None
    f1: Share | None = None
    roc_auc: Share | None = None
    equal_error_rate: Share | None = None  # at most
    recall_at_1: Share | None = None
    map_at_r: Share | None = None
    tar_at_far: dict[_Rate, Share] = Field(default={})  # {0.01: 0.9}, of the rates below


class Evaluate(Section):
    """The judgement: figures, absolute bars, and comparison with the model in production."""

    threshold: PositiveFloat = 0.5  # the fixed one; the calibrated one is always there too
    false_accept_rates: tuple[_Rate, ...] = (0.1, 0.01, 0.001)
    few_shot: FewShotPlan = FewShotPlan()
    bars: Bars = Bars()
    # accuracy that may be lost against the model in production, on the same pairs; the new one
    # must be shown not to lose more, by the 95 % interval of the difference
    max_drop: Share = 0.02
    bootstrap: PositiveInt = 1000  # resamples of the 95 % intervals
    seed: NonNegativeInt = 0

    @pydantic.model_validator(mode="after")
    def _bars_have_figures(self) -> "Evaluate":
        unknown = sorted(self.bars.tar_at_far.keys() - set(self.false_accept_rates))
        if unknown:
            raise ValueError(
                f"bars.tar_at_far has a bar at {unknown[0]:g}, and false_accept_rates are "
                f"{', '.join(f'{far:g}' for far in self.false_accept_rates)}: name it there too"
            )
        return self
