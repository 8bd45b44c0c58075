"""Section ``train`` of the configuration."""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import (
    Discriminator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Tag,
)

from diptych.schemas.config.section import Proportion, Section

PUSHED_MODEL = "pushed"


class AugmentationConfig(Section):
    """Random views of the training examples, drawn again for each use of an example."""

    apply_to: Literal["all", "repeated", "none"] = Field(
        default="all",
        description="Examples to augment: all, repeated (used more than once a round because of "
        "oversampling) or none.",
    )
    shift: Proportion = Field(
        default=0.1, description="Images: maximum shift, as a fraction of height and width."
    )
    rotation: Annotated[float, Field(ge=0, le=180)] = Field(
        default=11.0, description="Images: maximum rotation in degrees, in both directions."
    )
    zoom: Annotated[float, Field(ge=0, lt=1)] = Field(
        default=0.1, description="Images: maximum zoom, as a fraction, in and out."
    )
    flip: Literal["none", "horizontal", "vertical", "both"] = Field(
        default="none", description="Images: random flips: none, horizontal, vertical or both."
    )
    noise: NonNegativeFloat = Field(
        default=0.0, description="Vectors: standard deviation of Gaussian noise."
    )
    mixing: Proportion = Field(
        default=0.0,
        description="Vectors: maximum mixing weight of another example of the class in the batch.",
    )


class FalseAcceptRate(Section):
    """Choose the threshold that accepts this fraction of the negative pairs."""

    false_accept_rate: Annotated[float, Field(gt=0, lt=1)] = Field(
        description="Fraction of accepted negative pairs, such as 0.01."
    )


def _criterion_tag(value: Any) -> str | None:
    if isinstance(value, dict | FalseAcceptRate):
        return "rate"
    return "name" if value in ("best_accuracy", "equal_error_rate") else None


ThresholdCriterion = Annotated[
    Annotated[Literal["best_accuracy", "equal_error_rate"], Tag("name")]
    | Annotated[FalseAcceptRate, Tag("rate")],
    Discriminator(
        _criterion_tag,
        custom_error_type="threshold_criterion",
        custom_error_message=(
            "expected best_accuracy, equal_error_rate, or a rate such as {false_accept_rate: 0.01}"
        ),
    ),
]
"""Criterion for the threshold, which is chosen on the calibration split alone."""

_CRITERION: pydantic.TypeAdapter[ThresholdCriterion] = pydantic.TypeAdapter(ThresholdCriterion)


def parse_threshold_criterion(text: str) -> ThresholdCriterion:
    """Parse the JSON of a criterion, as ``dump_threshold_criterion`` writes it."""
    return _CRITERION.validate_json(text)


def dump_threshold_criterion(criterion: ThresholdCriterion) -> str:
    """Return the JSON of a criterion."""
    return _CRITERION.dump_json(criterion).decode()


class TrainConfig(Section):
    """Training on Ray."""

    epochs: PositiveInt = Field(
        default=40,
        description="Maximum number of epochs. Early stopping on the calibration split may end "
        "training earlier.",
    )
    patience: PositiveInt = Field(
        default=10, description="Epochs without a better calibration loss before early stopping."
    )
    batches_per_step: PositiveInt = Field(
        default=2, description="P x K batches per training step, divided among the workers."
    )
    optimizer: Annotated[str, Field(pattern=r"^[a-z]\w*$")] = Field(
        default="adam", description="Keras optimizer: adam, adamw, sgd, rmsprop, lion and others."
    )
    learning_rate: PositiveFloat = Field(default=1e-3, description="Peak learning rate.")
    schedule: Literal["cosine", "constant"] = Field(
        default="cosine", description="Learning rate schedule: cosine decay or constant."
    )
    warmup_epochs: NonNegativeFloat = Field(
        default=0.0, description="Epochs in which the learning rate rises linearly from 0."
    )
    clip_norm: PositiveFloat | None = Field(
        default=None, description="Maximum global norm of the gradients. null: no clipping."
    )
    ema: Annotated[float, Field(gt=0, lt=1)] | None = Field(
        default=None,
        description="Momentum of an exponential moving average of the weights, such as 0.99. null: "
        "no averaging.",
    )
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = Field(
        default="float32",
        description="Keras dtype policy: float32, mixed_float16 or mixed_bfloat16.",
    )
    weights: Literal["shards", "inverse_frequency"] = Field(
        default="shards",
        description="Loss weights: shards (from PairGen) or inverse_frequency. "
        "`inverse_frequency` weights examples by class and requires `pairs.sampling: natural`.",
    )
    augmentation: AugmentationConfig = Field(
        default=AugmentationConfig(), description="Random views of the training examples."
    )
    threshold_criterion: ThresholdCriterion = Field(
        default="best_accuracy",
        description="Threshold on the calibration split: best_accuracy, equal_error_rate or "
        "{false_accept_rate: 0.01}.",
    )
    warm_start: str | None = Field(
        default=None,
        description="Initial weights: a model folder, a folder of versions, or pushed. In a folder "
        "of versions, the newest is used; `pushed` is the newest version of this pipeline. A model "
        "of other splits of the same data is refused, because it knows test examples. null: random "
        "weights.",
    )
    checkpoint_steps: PositiveInt | None = Field(
        default=None, description="Steps between checkpoints. null: one per epoch."
    )
    max_failures: NonNegativeInt = Field(
        default=3, description="Worker failures after which training fails."
    )
    num_workers: NonNegativeInt = Field(
        default=1, description="Number of Ray workers. 0: train in this process, without Ray."
    )
    cpus_per_worker: PositiveInt | None = Field(
        default=None,
        description="CPUs per worker. null: divide the CPUs of the machine among the workers.",
    )
    gpus_per_worker: NonNegativeInt | None = Field(
        default=None, description="GPUs per worker. null: 1 if enough GPUs are available, else 0."
    )
    resources_timeout_s: PositiveFloat = Field(
        default=60, description="Seconds to wait for resources of the cluster."
    )
    ray_address: str | None = Field(
        default=None,
        description="Address of a Ray cluster. null: the environment variable RAY_ADDRESS, or a "
        "local Ray.",
    )
    seed: NonNegativeInt = Field(
        default=0, description="Seed of weights, batch order and augmentation."
    )

    @pydantic.model_validator(mode="after")
    def _check_workers_and_epochs(self) -> "TrainConfig":
        if self.num_workers > 1 and self.batches_per_step % self.num_workers:
            raise ValueError(
                f"batches_per_step ({self.batches_per_step}) must be a multiple of "
                f"num_workers ({self.num_workers}), so that all workers get the same number"
            )
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be below epochs ({self.epochs})"
            )
        return self
