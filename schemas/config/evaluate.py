"""Section ``evaluate`` of the configuration."""

from typing import Annotated

import pydantic
from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from diptych.schemas.config.section import Proportion, Section

_Rate = Annotated[float, Field(gt=0, lt=1)]


class FewShotConfig(Section):
    """N-way k-shot episodes, for each combination of ways and shots."""

    ways: tuple[Annotated[int, Field(ge=2)], ...] = Field(
        default=(5, 20), description="Numbers of classes to choose among."
    )
    shots: tuple[PositiveInt, ...] = Field(
        default=(1, 5), description="Numbers of given examples of each class."
    )
    episodes: PositiveInt = Field(default=1000, description="Episodes per combination.")


class MetricRequirements(Section):
    """Requirements on the test split at the calibrated threshold. null: no requirement."""

    accuracy: Proportion | None = Field(default=0.8, description="Minimum accuracy.")
    precision: Proportion | None = Field(default=None, description="Minimum precision.")
    recall: Proportion | None = Field(default=None, description="Minimum recall.")
    f1: Proportion | None = Field(default=None, description="Minimum F1 score.")
    roc_auc: Proportion | None = Field(
        default=None, description="Minimum area under the ROC curve."
    )
    equal_error_rate: Proportion | None = Field(
        default=None, description="Maximum equal error rate."
    )
    recall_at_1: Proportion | None = Field(default=None, description="Minimum Recall@1.")
    map_at_r: Proportion | None = Field(default=None, description="Minimum MAP@R.")
    tar_at_far: dict[_Rate, Proportion] = Field(
        default={},
        description="Minimum true accept rate by false accept rate, such as {0.01: 0.9}. The rates "
        "must be in `evaluate.false_accept_rates`.",
    )
    max_leaked: Proportion | None = Field(
        default=0.05,
        description="Maximum fraction of test pairs with an example that also occurs in the "
        "training split, itself or as a duplicate.",
    )
    beats_baseline: bool = Field(
        default=True,
        description="Require the model to be more accurate than the plain distance between inputs "
        "(pixels, standardized vectors): the 95 % interval of the difference on the same pairs "
        "must be above 0.",
    )


class EvaluateConfig(Section):
    """Metrics of the test split, and the requirements for pushing a model."""

    threshold: PositiveFloat = Field(
        default=0.5,
        description="Fixed distance threshold, reported in addition to the calibrated one.",
    )
    false_accept_rates: tuple[_Rate, ...] = Field(
        default=(0.1, 0.01, 0.001),
        description="False accept rates at which the true accept rate is reported.",
    )
    few_shot: FewShotConfig = Field(default=FewShotConfig(), description="N-way k-shot episodes.")
    requirements: MetricRequirements = Field(
        default=MetricRequirements(),
        description="Requirements that a model must meet to be blessed.",
    )
    max_accuracy_drop: Proportion = Field(
        default=0.02,
        description="Largest accepted loss of accuracy against the model in production. Both "
        "models score the same pairs, and the 95 % interval of the difference must exclude a "
        "larger loss.",
    )
    pairs: str | None = Field(
        default=None,
        description="File of given pairs to evaluate in addition to the test split: a table (CSV, "
        "Parquet) with two columns that name examples (paths of images, ids or sources), a column "
        "`same` and optionally a column `fold`; or a `pairs.txt` as of Labeled Faces in the Wild. "
        "With folds, the threshold of each fold comes from the others. null: none.",
    )
    bootstrap: PositiveInt = Field(
        default=1000, description="Bootstrap resamples for the 95 % intervals."
    )
    seed: NonNegativeInt = Field(default=0, description="Seed of bootstrap and episodes.")

    @pydantic.model_validator(mode="after")
    def _check_rates(self) -> "EvaluateConfig":
        unknown = sorted(self.requirements.tar_at_far.keys() - set(self.false_accept_rates))
        if unknown:
            raise ValueError(
                f"requirements.tar_at_far has a requirement at {unknown[0]:g}, but "
                f"false_accept_rates are {', '.join(f'{far:g}' for far in self.false_accept_rates)}"
                ": add it there"
            )
        return self
