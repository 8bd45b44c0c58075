"""Section ``model`` of the configuration: encoder, distance, loss and decoder.

An encoder or a loss is a name (``loss: triplet``) or a name with its settings
(``loss: {name: triplet, margin: 0.3}``).
"""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import BeforeValidator, Discriminator, Field, PositiveFloat, PositiveInt, Tag

from diptych.schemas.config.section import Section, expand_name

_Dropout = Annotated[
    float,
    Field(
        ge=0,
        lt=1,
        description="Dropout rate: of each hidden layer (mlp), or before the embedding (others).",
    ),
]
_Cosine = Annotated[float, Field(ge=-1, lt=1)]


class Mlp(Section):
    """Fully connected layers, for vectors; images are flattened."""

    name: Literal["mlp"] = Field(default="mlp", description="Name of the encoder.")
    units: PositiveInt = Field(default=256, description="Units of each hidden layer.")
    depth: PositiveInt = Field(default=2, description="Number of hidden layers.")
    dropout: _Dropout = 0.0


class CnnSmall(Section):
    """Three 3 x 3 convolutions for images of 28 x 28 pixels, more for larger ones."""

    name: Literal["cnn_small"] = Field(default="cnn_small", description="Name of the encoder.")
    dropout: _Dropout = 0.0


class Cnn(Section):
    """Four convolutions of 64, 128, 256 and 512 filters, as in the classic Siamese networks."""

    name: Literal["cnn"] = Field(default="cnn", description="Name of the encoder.")
    dropout: _Dropout = 0.0


class Application(Section):
    """A backbone of Keras Applications."""

    model_config = pydantic.ConfigDict(title="Keras Application")

    name: Annotated[str, Field(pattern=r"^[A-Z]\w+$")] = Field(
        description="Name of the model, such as MobileNetV3Small or ResNet50V2."
    )
    weights: str | None = Field(
        default=None,
        description="File of initial weights, .weights.h5 or .h5. null: random weights; nothing is "
        "downloaded.",
    )
    trainable: bool = Field(
        default=True, description="Train the backbone. false: train only the embedding layer."
    )


class CustomEncoder(Section):
    """A function ``build(shape: tuple[int, ...], embedding_size: int) -> keras.Model``.

    The module is imported from the working directory or the installed packages; of the working
    directory, only this module or its package is imported. The function returns a model from inputs
    of the given shape (without the batch axis) to the embedding.
    """

    model_config = pydantic.ConfigDict(title="package.module:function")

    name: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] = Field(
        description="Module and function, such as package.module:function."
    )


def _encoder_tag(value: Any) -> str:
    name = value.get("name", "") if isinstance(value, dict) else getattr(value, "name", "")
    if name in ("mlp", "cnn_small", "cnn"):
        return str(name)
    if ":" in str(name):
        return "custom"
    return "application" if str(name)[:1].isupper() else "unknown"


_EncoderSettings = (
    Annotated[Mlp, Tag("mlp")]
    | Annotated[CnnSmall, Tag("cnn_small")]
    | Annotated[Cnn, Tag("cnn")]
    | Annotated[Application, Tag("application")]
    | Annotated[CustomEncoder, Tag("custom")]
)
_EncoderName = (
    Literal["mlp", "cnn_small", "cnn"] | Annotated[str, Field(pattern=r"^[A-Z]\w+$|^[\w.]+:\w+$")]
)
Encoder = Annotated[
    _EncoderSettings,
    Discriminator(
        _encoder_tag,
        custom_error_type="encoder",
        custom_error_message="expected mlp, cnn_small, cnn, a backbone of Keras Applications such "
        "as MobileNetV3Small, or your own package.module:function",
    ),
    BeforeValidator(expand_name, json_schema_input_type=_EncoderName | _EncoderSettings),
]


class Contrastive(Section):
    """Pull positive pairs together and push negative pairs a margin apart."""

    name: Literal["contrastive"] = Field(default="contrastive", description="Name of the loss.")
    margin: PositiveFloat = Field(
        default=1.0, description="Distance beyond which a negative pair has no loss."
    )


class Triplet(Section):
    """Keep the positive closer to the anchor than the negative, by a margin."""

    name: Literal["triplet"] = Field(default="triplet", description="Name of the loss.")
    margin: PositiveFloat = Field(default=0.2, description="Margin, in the unit of the distance.")
    mining: Literal["given", "all", "hard", "semi_hard"] = Field(
        default="semi_hard",
        description="Source of triplets: given uses those drawn by PairGen, the others mine each "
        "batch for all, the hardest, or semi-hard ones.",
    )


class CosineEmbedding(Section):
    """Pull positive pairs to a cosine of 1 and keep negative pairs at most at the margin."""

    name: Literal["cosine_embedding"] = Field(
        default="cosine_embedding", description="Name of the loss."
    )
    margin: _Cosine = Field(
        default=0.5, description="Cosine below which a negative pair has no loss."
    )


class Circle(Section):
    """Weight each similarity by its distance from its optimum."""

    name: Literal["circle"] = Field(default="circle", description="Name of the loss.")
    margin: Annotated[float, Field(gt=0, lt=1)] = Field(
        default=0.25, description="Relaxation margin of the cosine similarities."
    )
    gamma: PositiveFloat = Field(default=64.0, description="Scale factor of the similarities.")


class MultiSimilarity(Section):
    """Mine and weight pairs by their similarity relative to other pairs of the batch."""

    name: Literal["multi_similarity"] = Field(
        default="multi_similarity", description="Name of the loss."
    )
    alpha: PositiveFloat = Field(default=2.0, description="Weight of positive pairs.")
    beta: PositiveFloat = Field(default=50.0, description="Weight of negative pairs.")
    base: Annotated[float, Field(ge=-1, le=1)] = Field(
        default=0.5, description="Cosine that separates positive from negative pairs."
    )
    epsilon: Annotated[float, Field(ge=0)] = Field(
        default=0.1, description="Margin of the pair mining."
    )


class SupervisedContrastive(Section):
    """Classify each positive pair against all other pairs of its anchor in the batch."""

    name: Literal["supervised_contrastive"] = Field(
        default="supervised_contrastive", description="Name of the loss."
    )
    temperature: PositiveFloat = Field(
        default=0.1, description="Temperature of the softmax over similarities."
    )


class BinaryCrossEntropy(Section):
    """Classify pairs as same or different, by the learned L1 distance."""

    name: Literal["binary_cross_entropy"] = Field(
        default="binary_cross_entropy", description="Name of the loss."
    )


_LossSettings = Annotated[
    Contrastive
    | Triplet
    | CosineEmbedding
    | Circle
    | MultiSimilarity
    | SupervisedContrastive
    | BinaryCrossEntropy,
    Field(discriminator="name"),
]
_LossName = Literal[
    "contrastive",
    "triplet",
    "cosine_embedding",
    "circle",
    "multi_similarity",
    "supervised_contrastive",
    "binary_cross_entropy",
]
Loss = Annotated[
    _LossSettings,
    BeforeValidator(expand_name, json_schema_input_type=_LossName | _LossSettings),
]
Distance = Literal["euclidean", "squared_euclidean", "manhattan", "cosine", "learned_l1"]

# On unit vectors these are monotonic functions of each other.
_COSINE_DISTANCES: tuple[Distance, ...] = ("cosine", "euclidean", "squared_euclidean")
_METRIC_DISTANCES: tuple[Distance, ...] = (
    "euclidean",
    "squared_euclidean",
    "manhattan",
    "cosine",
)
DISTANCES: dict[str, tuple[Distance, ...]] = {
    "contrastive": _METRIC_DISTANCES,
    "triplet": _METRIC_DISTANCES,
    "cosine_embedding": _COSINE_DISTANCES,
    "circle": _COSINE_DISTANCES,
    "multi_similarity": _COSINE_DISTANCES,
    "supervised_contrastive": _COSINE_DISTANCES,
    "binary_cross_entropy": ("learned_l1",),
}
"""Distances that each loss supports; the first is its default."""


class DecoderConfig(Section):
    """A variational autoencoder from the embedding to the input, trained together with the loss."""

    weight: PositiveFloat = Field(
        default=1.0, description="Weight of the reconstruction loss relative to `model.loss`."
    )
    kl_weight: Annotated[float, Field(ge=0)] = Field(
        default=1e-5, description="Weight of the KL divergence in the reconstruction loss."
    )
    latent_size: PositiveInt = Field(default=32, description="Dimensions of the latent variable.")
    units: PositiveInt = Field(default=256, description="Units of the hidden layers.")


class ModelConfig(Section):
    """The encoder, its embedding and the loss."""

    encoder: Encoder | None = Field(
        default=None,
        description="Encoder: mlp, cnn_small, cnn, a Keras Application or package.module:function. "
        "null: `cnn_small` for images, `mlp` for vectors.",
    )
    embedding_size: PositiveInt = Field(
        default=64, le=2**16, description="Number of dimensions of an embedding."
    )
    normalize: bool = Field(default=True, description="Scale embeddings to unit length.")
    distance: Distance | None = Field(
        default=None,
        description="Distance: euclidean, squared_euclidean, manhattan, cosine or learned_l1. "
        "null: the default of the loss.",
    )
    loss: Loss = Field(
        default=Contrastive(),
        description="Loss: contrastive, triplet, cosine_embedding, circle, multi_similarity, "
        "supervised_contrastive or binary_cross_entropy.",
    )
    decoder: DecoderConfig | None = Field(
        default=None,
        description="Decoder trained together with the encoder, such as {weight: 1.0}. null: none.",
    )

    @pydantic.model_validator(mode="after")
    def _check_distance(self) -> "ModelConfig":
        supported = DISTANCES[self.loss.name]
        if self.distance_name not in supported:
            raise ValueError(
                f"loss {self.loss.name} supports the distances {', '.join(supported)}, "
                f"got {self.distance}"
            )
        if supported == _COSINE_DISTANCES and not self.normalize:
            raise ValueError(
                f"loss {self.loss.name} is defined on cosines: it requires normalize: true"
            )
        return self

    @property
    def distance_name(self) -> Distance:
        """Distance between two embeddings: the configured one, or the default of the loss."""
        return self.distance or DISTANCES[self.loss.name][0]

    @property
    def needs_classes(self) -> bool:
        """True if the loss compares all examples of a batch, so given pairs are not enough."""
        if isinstance(self.loss, Triplet):
            return self.loss.mining != "given"
        return isinstance(self.loss, Circle | MultiSimilarity | SupervisedContrastive)
