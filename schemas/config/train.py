"""The section ``train``: schedule, optimiser, augmentation, workers."""

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

from diptych.schemas.config.section import Section, Share

WARM_START_PUSHED = "pushed"


class Augmentation(Section):
    """New views of training examples, drawn anew each time an example comes up."""

    # all; repeated: of examples that oversampling places more than once a round; none
    of: Literal["all", "repeated", "none"] = "all"
    shift: Share = 0.1  # of the height and width of an image, to either side
    rotation: Annotated[float, Field(ge=0, le=180)] = 11.0  # degrees, to either side
    zoom: Annotated[float, Field(ge=0, lt=1)] = 0.1  # share, smaller or larger
    flip: Literal["none", "horizontal", "vertical", "both"] = "none"
    noise: NonNegativeFloat = 0.0  # standard deviation, added to vectors
    # share of the way to another example of the class in the batch, at most; of vectors
    mixing: Share = 0.0


class FalseAcceptRate(Section):
    """A target of the calibration: the threshold that accepts so many different pairs."""

    false_accept_rate: Annotated[float, Field(gt=0, lt=1)]


def _form_of_target(value: Any) -> str | None:
    if isinstance(value, dict | FalseAcceptRate):
        return "rate"
    return "name" if value in ("best_accuracy", "equal_error_rate") else None


CalibrationTarget = Annotated[
    Annotated[Literal["best_accuracy", "equal_error_rate"], Tag("name")]
    | Annotated[FalseAcceptRate, Tag("rate")],
    Discriminator(
        _form_of_target,
        custom_error_type="calibration_target",
        custom_error_message=(
            "needs best_accuracy, equal_error_rate, or a rate such as {false_accept_rate: 0.01}"
        ),
    ),
]
"""What the threshold is chosen for, on the calibration split alone."""


class Train(Section):
    """The training on Ray."""

    epochs: PositiveInt = 40  # at most; early stopping on the calibration split ends it sooner
    patience: PositiveInt = 10  # epochs without a better calibration loss
    batches_per_step: PositiveInt = 2  # P x K batches in a step, shared out to the workers
    # by Keras's name: adam, adamw, sgd, rmsprop, lion ...
    optimizer: Annotated[str, Field(pattern=r"^[a-z]\w*$")] = "adam"
    learning_rate: PositiveFloat = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    warmup_epochs: NonNegativeFloat = 0.0  # the learning rate rises from 0 meanwhile
    clip_norm: PositiveFloat | None = None  # of all gradients together
    ema: Annotated[float, Field(gt=0, lt=1)] | None = None  # momentum of the averaged weights
    precision: Literal["float32", "mixed_float16", "mixed_bfloat16"] = "float32"
    # shards: those of the pairs; inverse_frequency: by class, where the shards have none
    weights: Literal["shards", "inverse_frequency"] = "shards"
    augmentation: Augmentation = Augmentation()
    calibrate_for: CalibrationTarget = "best_accuracy"  # or {false_accept_rate: 0.01}
    # A pushed model, or a folder of versions (the newest is taken); pushed: this pipeline's own
    warm_start: str | None = None
    checkpoint_steps: PositiveInt | None = None  # None: at the end of each epoch
    max_failures: NonNegativeInt = 3  # workers lost before the training gives up
    num_workers: NonNegativeInt = 1  # 0: in this process, without Ray
    cpus_per_worker: PositiveInt | None = None  # None: the machine's, shared out
    gpus_per_worker: NonNegativeInt | None = None  # None: one, if the machines have so many
    resources_timeout_s: PositiveFloat = 60  # what a cluster lacks is waited for
    ray_address: str | None = None  # of a cluster; None: RAY_ADDRESS, or a local Ray
    seed: NonNegativeInt = 0

    @pydantic.model_validator(mode="after")
    def _shared_out(self) -> "Train":
        if self.num_workers > 1 and self.batches_per_step % self.num_workers:
            raise ValueError(
                f"batches_per_step ({self.batches_per_step}) must be a multiple of "
                f"num_workers ({self.num_workers}), so that every worker has as many"
            )
        if self.warmup_epochs >= self.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) must be below epochs ({self.epochs})"
            )
        return self
