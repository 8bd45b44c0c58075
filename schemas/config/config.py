"""The complete configuration: one frozen model a step, checked when it is loaded.

A step receives its own section as JSON, never the complete configuration, so that a change of one
section re-runs the steps that it concerns and leaves the others in the cache.
"""

from typing import Annotated

import pydantic
from pydantic import Field

from diptych.schemas.config.beam import Beam
from diptych.schemas.config.data import Data
from diptych.schemas.config.evaluate import Evaluate
from diptych.schemas.config.model import Application, Cnn, CnnSmall, Model
from diptych.schemas.config.nightly import Nightly
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.config.push import Push
from diptych.schemas.config.section import Section
from diptych.schemas.config.split import Split
from diptych.schemas.config.train import Train
from diptych.schemas.config.tune import Tune
from diptych.schemas.config.validation import Validation


class Config(Section):
    """The whole configuration file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
    data: Annotated[Data, Field(discriminator="kind")]
    split: Split = Split()
    validation: Validation = Validation()
    pairs: Pairs = Pairs()
    model: Model = Model()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    push: Push = Push()
    beam: Beam = Beam()
    nightly: Nightly = Nightly()
    tune: Tune = Tune()

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> "Config":
        if self.split.by == "group" and getattr(self.data, "group", None) is None:
            raise ValueError("split.by = group needs data.group, the column that names the group")
        if self.split.by == "class" and self.data.kind == "pairs":
            raise ValueError(
                "split.by = class needs classes; pairs have none: use example or group"
            )
        if self.pairs.difficulty == "confusable" and self.data.kind == "pairs":
            raise ValueError(
                "pairs.difficulty = confusable needs classes; data that came in pairs have none"
            )
        vectors = self.data.kind in ("table", "pairs") or getattr(self.data, "vector", None)
        if vectors and isinstance(self.model.encoder, CnnSmall | Cnn | Application):
            raise ValueError(
                f"model.encoder {self.model.encoder.name} needs images, the data are vectors: "
                "use mlp"
            )
        if self.data.kind != "pairs":
            self._check_ratio()
        else:
            self._check_without_classes()
        if self.train.weights == "inverse_frequency" and self.pairs.policy != "natural":
            raise ValueError(
                "train.weights = inverse_frequency corrects unequal classes, which pairs.policy = "
                f"{self.pairs.policy} has done already: choose one, pairs.policy = natural or "
                "train.weights = shards"
            )
        workers = max(self.train.num_workers, 1)
        if self.pairs.num_shards % workers:
            raise ValueError(
                f"pairs.num_shards ({self.pairs.num_shards}) must be a multiple of "
                f"train.num_workers ({workers}), so that workers read disjoint shards"
            )
        return self

    def _check_without_classes(self) -> None:
        if self.model.needs_classes:
            raise ValueError(
                f"model.loss {self.model.loss.name} compares all examples of a batch by their "
                "class; data that came in pairs have none: use contrastive, cosine_embedding, "
                "binary_cross_entropy, or triplet with mining = given"
            )
        if self.train.augmentation.mixing:
            raise ValueError(
                "train.augmentation.mixing mixes examples of a class; data that came in pairs "
                "have none: leave it out, or use noise"
            )
        for name in ("recall_at_1", "map_at_r"):
            if getattr(self.evaluate.bars, name) is not None:
                raise ValueError(
                    f"evaluate.bars.{name} is a figure of classes; data that came in pairs have "
                    "none: leave it out"
                )
        if self.train.weights == "inverse_frequency":
            raise ValueError(
                "train.weights = inverse_frequency needs classes; data that came in pairs have "
                "none: use pairs.policy = inverse_frequency"
            )

    def _check_ratio(self) -> None:
        classes, size = self.pairs.classes_per_batch, self.pairs.examples_per_class
        same, different = classes * size * (size - 1) // 2, size**2 * classes * (classes - 1) // 2
        ratio = self.pairs.different_per_same
        if ratio.denominator > same or ratio.numerator > different:
            raise ValueError(
                f"pairs.ratio {self.pairs.ratio} is out of reach: a batch of {classes} classes "
                f"with {size} examples each has {same} same and {different} different pairs. "
                "Choose another ratio, or raise pairs.classes_per_batch or .examples_per_class"
            )
