"""What one raw example holds, settled before the run starts.

ExampleGen writes tf.Examples with these features, Transform reads them, and the exported model
takes the same at serving time: encoded image bytes, or vectors in the order of ``columns``.
"""

from typing import Literal

import pydantic

from diptych.schemas.shards import InputShape

# Features of the tf.Examples that are ours; a user's column may not carry these names.
IMAGE, LABEL, ID, SOURCE = "image", "label", "id", "source"
SAME, LEFT_ID, RIGHT_ID = "same", "left_id", "right_id"  # of data that came in pairs
RESERVED = (IMAGE, LABEL, ID, SOURCE, SAME, LEFT_ID, RIGHT_ID)

# Features of the transformed examples: the encoder's input and the number of the class.
X, CLASS = "x", "class"
LEFT, RIGHT = "left", "right"


class Column(pydantic.BaseModel):
    """A numeric feature of ``width`` values in every example."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    name: str
    width: int = 1


class Inputs(pydantic.BaseModel):
    """The features of one example.

    ``columns`` are those of the vector, in order; of the left one where data came in pairs, with
    ``right_columns`` for the other (same widths). Both are empty for images.
    """

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True)

    kind: Literal["image", "vector"]
    columns: tuple[Column, ...] = ()
    right_columns: tuple[Column, ...] = ()
    size: tuple[int, int] = (0, 0)  # height, width of images after resizing
    channels: int = 0

    @property
    def paired(self) -> bool:
        """Whether the data came in pairs."""
        return bool(self.right_columns)

    @property
    def shape(self) -> InputShape:
        """What the encoder is given."""
        if self.kind == "image":
            return InputShape(kind="image", shape=(*self.size, self.channels))
        return InputShape(kind="vector", shape=(sum(column.width for column in self.columns),))
