"""The section ``model``: encoder, distance, loss and decoder.

A part is a name (``loss: triplet``) or a name with its settings (``loss: {name: triplet,
margin: 0.3}``).
"""

from typing import Annotated, Any, Literal

import pydantic
from pydantic import BeforeValidator, Discriminator, Field, PositiveFloat, PositiveInt, Tag

from diptych.schemas.config.section import Section, by_name

Dropout = Annotated[float, Field(ge=0, lt=1)]


class Mlp(Section):
    """Fully connected layers, for vectors; images are flattened."""

    name: Literal["mlp"] = "mlp"
    units: PositiveInt = 256
    depth: PositiveInt = 2  # hidden layers
    dropout: Dropout = 0.0


class CnnSmall(Section):
    """Three 3 x 3 convolutions for images of 28 x 28, more for larger ones."""

    name: Literal["cnn_small"] = "cnn_small"
    dropout: Dropout = 0.0


class Cnn(Section):
    """Four convolutions of 64, 128, 256 and 512 filters, as in the classic Siamese networks."""

    name: Literal["cnn"] = "cnn"
    dropout: Dropout = 0.0


class Application(Section):
    """A backbone of Keras Applications, such as MobileNetV3Small or ResNet50V2."""

    name: Annotated[str, Field(pattern=r"^[A-Z]\w+$")]
    weights: str | None = None  # a .weights.h5 or .h5 file; nothing is ever downloaded
    trainable: bool = True  # False: only the embedding on top of it learns


class OwnEncoder(Section):
    """The user's own function of the input's shape and the embedding's size."""

    name: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")]


def _kind_of_encoder(value: Any) -> str:
    name = value.get("name", "") if isinstance(value, dict) else getattr(value, "name", "")
    if name in ("mlp", "cnn_small", "cnn"):
        return str(name)
    if ":" in str(name):
        return "own"
    return "application" if str(name)[:1].isupper() else "unknown"


Encoder = Annotated[
    Annotated[Mlp, Tag("mlp")]
    | Annotated[CnnSmall, Tag("cnn_small")]
    | Annotated[Cnn, Tag("cnn")]
    | Annotated[Application, Tag("application")]
    | Annotated[OwnEncoder, Tag("own")],
    Discriminator(
        _kind_of_encoder,
        custom_error_type="encoder",
        custom_error_message="needs mlp, cnn_small, cnn, a backbone of Keras Applications such as "
        "MobileNetV3Small, or your own package.module:function",
    ),
    BeforeValidator(by_name),
]


class Contrastive(Section):
    """Same pairs together, different pairs a margin apart."""

    name: Literal["contrastive"] = "contrastive"
    margin: PositiveFloat = 1.0  # in the unit of the distance


class Triplet(Section):
    """The positive nearer to the anchor than the negative, by a margin."""

    name: Literal["triplet"] = "triplet"
    margin: PositiveFloat = 0.2  # in the unit of the distance
    # given: those that PairGen drew; the others are mined in each P x K batch
    mining: Literal["given", "all", "hard", "semi_hard"] = "semi_hard"


class CosineEmbedding(Section):
    """Same pairs at a cosine of 1, different pairs at most at the margin."""

    name: Literal["cosine_embedding"] = "cosine_embedding"
    margin: Annotated[float, Field(ge=-1, lt=1)] = 0.5  # a cosine


class Circle(Section):
    """Similarities pulled to their optima, the harder the further away they are."""

    name: Literal["circle"] = "circle"
    margin: Annotated[float, Field(gt=0, lt=1)] = 0.25
    gamma: PositiveFloat = 64.0


class MultiSimilarity(Section):
    """Pairs chosen and weighted by how similar they are beside the others of the batch."""

    name: Literal["multi_similarity"] = "multi_similarity"
    alpha: PositiveFloat = 2.0  # sharpness of the same pairs
    beta: PositiveFloat = 50.0  # sharpness of the different pairs
    base: Annotated[float, Field(ge=-1, le=1)] = 0.5  # the cosine that divides the two
    epsilon: Annotated[float, Field(ge=0)] = 0.1  # of the choice of pairs


class SupervisedContrastive(Section):
    """Each same pair against all others of its batch, as a classification."""

    name: Literal["supervised_contrastive"] = "supervised_contrastive"
    temperature: PositiveFloat = 0.1


class BinaryCrossEntropy(Section):
    """Same or different as a classification, on the learned L1 distance."""

    name: Literal["binary_cross_entropy"] = "binary_cross_entropy"


Loss = Annotated[
    Annotated[
        Contrastive
        | Triplet
        | CosineEmbedding
        | Circle
        | MultiSimilarity
        | SupervisedContrastive
        | BinaryCrossEntropy,
        Field(discriminator="name"),
    ],
    BeforeValidator(by_name),
]
Distance = Literal["euclidean", "squared_euclidean", "manhattan", "cosine", "learned_l1"]

_ON_COSINES: tuple[Distance, ...] = (
    "cosine",
    "euclidean",
    "squared_euclidean",
)  # in one order on unit vectors
_METRIC: tuple[Distance, ...] = ("euclidean", "squared_euclidean", "manhattan", "cosine")
DISTANCES: dict[str, tuple[Distance, ...]] = {
    "contrastive": _METRIC,
    "triplet": _METRIC,
    "cosine_embedding": _ON_COSINES,
    "circle": _ON_COSINES,
    "multi_similarity": _ON_COSINES,
    "supervised_contrastive": _ON_COSINES,
    "binary_cross_entropy": ("learned_l1",),
}
"""The distances that a loss goes with; the first is its default."""


class Decoder(Section):
    """A variational autoencoder from the embedding back to the input, trained along."""

    weight: PositiveFloat = 1.0  # of its loss beside the other
    kl_weight: Annotated[float, Field(ge=0)] = 1e-5  # of the divergence, in its loss
    latent_size: PositiveInt = 32
    units: PositiveInt = 256


class Model(Section):
    """The encoder, its embedding, and what is learned of it."""

    encoder: Encoder | None = None  # None: cnn_small for images, mlp for vectors
    embedding_size: PositiveInt = 64
    normalize: bool = True  # embeddings of length 1
    distance: Distance | None = None  # None: by the loss
    loss: Loss = Contrastive()
    decoder: Decoder | None = None

    @pydantic.model_validator(mode="after")
    def _fits_together(self) -> "Model":
        possible = DISTANCES[self.loss.name]
        if self.measured_by not in possible:
            raise ValueError(
                f"loss {self.loss.name} goes with distance {', '.join(possible)}, "
                f"not with {self.distance}"
            )
        if possible == _ON_COSINES and not self.normalize:
            raise ValueError(f"loss {self.loss.name} is made of cosines: it needs normalize: true")
        return self

    @property
    def measured_by(self) -> Distance:
        """The distance between two embeddings."""
        return self.distance or DISTANCES[self.loss.name][0]

    @property
    def needs_classes(self) -> bool:
        """Whether the loss compares all examples of a batch, so that pairs alone do not do."""
        if isinstance(self.loss, Triplet):
            return self.loss.mining != "given"
        return isinstance(self.loss, Circle | MultiSimilarity | SupervisedContrastive)
