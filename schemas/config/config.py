"""The complete configuration: one frozen model per section, validated when it is loaded.

A step receives its own section as JSON, never the complete configuration. A change of one section
re-runs the steps that use it, and the others are taken from the cache.
"""

from typing import Annotated

import pydantic
from pydantic import Field

from diptych.schemas.config.beam import BeamConfig
from diptych.schemas.config.data import DataConfig, ImageFolder
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.config.model import Application, Cnn, CnnSmall, ModelConfig
from diptych.schemas.config.nightly import NightlyConfig
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.config.push import PushConfig
from diptych.schemas.config.section import Section
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.config.tune import TuneConfig
from diptych.schemas.config.validation import ValidationConfig


class Config(Section):
    """Configuration of a Diptych pipeline. The docstring of each section documents it."""

    model_config = pydantic.ConfigDict(title="Diptych configuration")

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")] = Field(
        description="Name of the pipeline: lower-case letters, digits, - and _."
    )
    data: Annotated[DataConfig, Field(discriminator="kind")] = Field(
        description="The raw data. Relative paths start at the folder of the configuration file."
    )
    split: SplitConfig = SplitConfig()
    validation: ValidationConfig = ValidationConfig()
    pairs: PairsConfig = PairsConfig()
    model: ModelConfig = ModelConfig()
    train: TrainConfig = TrainConfig()
    evaluate: EvaluateConfig = EvaluateConfig()
    push: PushConfig = PushConfig()
    beam: BeamConfig = BeamConfig()
    nightly: NightlyConfig = NightlyConfig()
    tune: TuneConfig = TuneConfig()

    @pydantic.model_validator(mode="after")
    def _check_consistency(self) -> "Config":
        levels = ", or for folders of images a level group in data.levels"
        if self.split.by == "group" and not self.data.states("group"):
            raise ValueError(
                f"split.by = group needs data.group, the column that names the group{levels}"
            )
        folders = isinstance(self.data, ImageFolder) and self.data.table is None
        if self.split.by == "given" and folders and not self.data.states("split"):
            raise ValueError(
                "split.by = given needs a level split in data.levels, or a list of the images in "
                "data.table"
            )
        if self.split.by == "class" and self.data.kind == "pairs":
            raise ValueError(
                "split.by = class needs classes; given pairs have none: use example or group"
            )
        if self.split.by == "connected" and self.data.kind != "pairs":
            raise ValueError(
                "split.by = connected connects given pairs that share an example; data of kind "
                f"{self.data.kind} have no pairs: use example, class or group"
            )
        has_time = getattr(self.data, "time", None) is not None or "{" in self.data.path
        if self.split.by == "time" and not has_time:
            raise ValueError(
                "split.by = time needs the times of the data: name a column in data.time, or use "
                "data in spans, such as data/{YYYY}-{MM}-{DD}"
            )
        if self.pairs.negatives == "similar_classes" and self.data.kind == "pairs":
            raise ValueError(
                "pairs.negatives = similar_classes needs classes; given pairs have none: use random"
            )
        vectors = self.data.kind == "table" or getattr(self.data, "vector", None)
        if vectors and isinstance(self.model.encoder, CnnSmall | Cnn | Application):
            raise ValueError(
                f"model.encoder {self.model.encoder.name} needs images, but the data are vectors: "
                "use mlp"
            )
        if self.data.kind != "pairs":
            self._check_ratio()
        else:
            self._check_given_pairs()
        if self.train.weights == "inverse_frequency" and self.pairs.sampling != "natural":
            raise ValueError(
                "train.weights = inverse_frequency corrects unequal classes, but pairs.sampling = "
                f"{self.pairs.sampling} has corrected them already: use pairs.sampling = natural, "
                "or train.weights = shards"
            )
        workers = max(self.train.num_workers, 1)
        if self.pairs.num_shards % workers:
            raise ValueError(
                f"pairs.num_shards ({self.pairs.num_shards}) must be a multiple of "
                f"train.num_workers ({workers}), so that workers read disjoint shards"
            )
        return self

    def _check_given_pairs(self) -> None:
        if self.model.needs_classes:
            raise ValueError(
                f"model.loss {self.model.loss.name} compares all examples of a batch by class; "
                "given pairs have no classes: use contrastive, cosine_embedding, "
                "binary_cross_entropy, or triplet with mining = given"
            )
        if self.train.augmentation.mixing:
            raise ValueError(
                "train.augmentation.mixing mixes examples of a class; given pairs have no classes: "
                "remove it, or use noise"
            )
        for name in ("recall_at_1", "map_at_r"):
            if getattr(self.evaluate.requirements, name) is not None:
                raise ValueError(
                    f"evaluate.requirements.{name} is a metric of classes; given pairs have no "
                    "classes: remove it"
                )
        if self.train.weights == "inverse_frequency":
            raise ValueError(
                "train.weights = inverse_frequency needs classes; given pairs have none: use "
                "pairs.sampling = inverse_frequency"
            )

    def _check_ratio(self) -> None:
        classes, size = self.pairs.classes_per_batch, self.pairs.examples_per_class
        positive = classes * size * (size - 1) // 2
        negative = size**2 * classes * (classes - 1) // 2
        ratio = self.pairs.negatives_per_positive
        if ratio.denominator > positive or ratio.numerator > negative:
            raise ValueError(
                f"pairs.ratio {self.pairs.ratio} is out of reach: a batch of {classes} classes "
                f"with {size} examples each has {positive} positive and {negative} negative pairs. "
                "Choose another ratio, or increase pairs.classes_per_batch or "
                "pairs.examples_per_class"
            )
