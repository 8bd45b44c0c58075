"""Features of the raw examples, inferred from the data before a run starts.

ExampleGen writes tf.Examples with these features, Transform reads them, and the exported model
accepts the same features at serving time: encoded image bytes, or vectors in the order of
``columns``.
"""

import math
from typing import Annotated, Literal

import pydantic

from diptych.schemas.json_model import JsonModel
from diptych.schemas.shards import InputShape

# Features that ExampleGen adds to the tf.Examples; a user's column must not have these names.
IMAGE, LABEL, ID, SOURCE = "image", "label", "id", "source"
SAME, LEFT_ID, RIGHT_ID = "same", "left_id", "right_id"  # if the data are given pairs
RIGHT_IMAGE = "right_image"  # if they are pairs of images; ``image`` is the left one
RESERVED = (IMAGE, LABEL, ID, SOURCE, SAME, LEFT_ID, RIGHT_ID, RIGHT_IMAGE)

# Features of the transformed examples: the encoder's input and the class index.
X, CLASS = "x", "class"
LEFT, RIGHT = "left", "right"


class Column(JsonModel):
    """A numeric feature of ``width`` values in every example."""

    name: str
    width: int = 1


class InputSpec(JsonModel):
    """Features of one raw example.

    ``columns`` lists the columns of the vector in order. If the data are given pairs, it lists
    those of the left side, and ``right_columns`` those of the right side, with the same widths.
    Both are empty for images, whose pairs have ``image_pairs`` instead.
    """

    kind: Literal["image", "vector"]
    columns: tuple[Column, ...] = ()
    right_columns: tuple[Column, ...] = ()
    size: tuple[int, int] = (0, 0)  # height and width of images after resizing
    channels: int = 0
    background: tuple[int, int, int] = (255, 255, 255)  # behind transparent pixels of images
    image_pairs: bool = False

    @property
    def paired(self) -> bool:
        """True if the data are given pairs."""
        return self.image_pairs or bool(self.right_columns)

    @property
    def shape(self) -> InputShape:
        """Shape of the encoder's input."""
        if self.kind == "image":
            return InputShape(kind="image", shape=(*self.size, self.channels))
        return InputShape(kind="vector", shape=(sum(column.width for column in self.columns),))


_MAX_INPUT_VALUES = 2**31 - 1  # of one example, as in a list of Arrow


def _check_shape(inputs: InputSpec) -> InputSpec:
    columns = (*inputs.columns, *inputs.right_columns)
    shape = inputs.shape.shape
    if min((*shape, *(column.width for column in columns))) < 1:
        raise ValueError(f"a model needs inputs of at least one value, got {shape}")
    if math.prod(shape) > _MAX_INPUT_VALUES:
        raise ValueError(f"inputs have at most {_MAX_INPUT_VALUES:,} values, got {shape}")
    if inputs.kind == "image" and inputs.channels not in (1, 3):
        raise ValueError(f"images have 1 or 3 channels, got {inputs.channels}")
    return inputs


ModelInputs = Annotated[InputSpec, pydantic.AfterValidator(_check_shape)]
"""Features of the raw examples that a model accepts; not empty."""

EmbeddingSize = Annotated[int, pydantic.Field(ge=1, le=2**16)]
"""Number of dimensions of an embedding."""
