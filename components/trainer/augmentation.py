"""New views of training examples, drawn in NumPy; ``augmentation_layer`` applies them."""

import numpy as np

from diptych.schemas.config.train import Augmentation
from diptych.schemas.shards import InputShape

_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


class Augmenter:
    """Draws a new view of each example of a batch.

    Drawn outside the graph from a generator that is a function of the batch, so that a batch has
    the same views on whatever worker it is trained.

    An image is shifted, rotated, stretched and flipped. A vector x is moved to
    ``x + noise * g + a * (other - x)``, with g normal, a uniform in [0, ``mixing``] and ``other``
    another example of its class in the batch; one that is alone in its class is given the noise
    only. Chawla et al., "SMOTE", JAIR 2002, where ``other`` is one of the nearest neighbours and
    ``mixing`` is 1.

    Args:
      settings: of the section ``train.augmentation``.
      shape: of one input.

    Attributes:
      width: how many numbers are drawn for each example; 0 if nothing is asked for.
    """

    def __init__(self, settings: Augmentation, shape: InputShape) -> None:
        self._settings = settings
        self._shape = shape.shape
        self._images = shape.kind == "image"
        wanted: tuple[float, ...] = (settings.noise, settings.mixing)
        if self._images:
            flips = float(settings.flip != "none")
            wanted = (settings.shift, settings.rotation, settings.zoom, flips)
        if settings.of == "none" or not any(wanted):
            self.width = 0
        else:
            self.width = len(_IDENTITY) if self._images else shape.shape[0]

    def draw(
        self,
        generator: np.random.Generator,
        x: np.ndarray,
        classes: np.ndarray,
        repeats: np.ndarray,
    ) -> np.ndarray:
        """The numbers that the layer ``Augment`` turns each example into its new view by.

        Args:
          generator: a function of the batch alone.
          x: (n, *shape) examples.
          classes: (n,) integers.
          repeats: (n,) integers, how often an example is placed in a round.

        Returns:
          (n, width) float32. Of images, affine transforms: output pixel (x, y) is read at
          (d0 x + d1 y + d2, d3 x + d4 y + d5). Of vectors, what is added to each. Where only
          repeated examples are augmented, the others are left as they are.
        """
        if not self.width:
            return np.zeros((len(x), 0), np.float32)
        drawn = (
            self._views(generator, len(x)) if self._images else self._moves(generator, x, classes)
        )
        if self._settings.of == "repeated":
            drawn[repeats <= 1] = _IDENTITY if self._images else 0.0
        return drawn.astype(np.float32)

    def _views(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """Affine transforms about the centre of the image."""
        settings = self._settings
        height, width = self._shape[:2]
        angle = np.deg2rad(generator.uniform(-settings.rotation, settings.rotation, count))
        scale = 1 + generator.uniform(-settings.zoom, settings.zoom, (2, count))
        shift = generator.uniform(-settings.shift, settings.shift, (2, count))
        flip = generator.choice((-1, 1), (2, count))
        flip_x = flip[0] if settings.flip in ("horizontal", "both") else 1
        flip_y = flip[1] if settings.flip in ("vertical", "both") else 1
        centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
        a0, a1 = np.cos(angle) * scale[0] * flip_x, -np.sin(angle) * scale[0] * flip_y
        b0, b1 = np.sin(angle) * scale[1] * flip_x, np.cos(angle) * scale[1] * flip_y
        a2 = centre_x - a0 * centre_x - a1 * centre_y + shift[0] * width
        b2 = centre_y - b0 * centre_x - b1 * centre_y + shift[1] * height
        zero = np.zeros(count)
        return np.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)

    def _moves(
        self, generator: np.random.Generator, x: np.ndarray, classes: np.ndarray
    ) -> np.ndarray:
        """Noise, and a part of the way to another example of the class."""
        noise = generator.normal(0, self._settings.noise, x.shape)
        way = generator.uniform(0, self._settings.mixing, (len(x), 1))
        others = _others(classes, generator.random(len(x)))
        moves: np.ndarray = noise + way * (x[others].astype(np.float64) - x)
        return moves


def _others(classes: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """For each example another one of its class, itself if there is none.

    Args:
      classes: (n,) integers.
      uniform: (n,) in [0, 1), which of the others.
    """
    order = np.argsort(classes, kind="stable")  # classes side by side
    _, first, inverse, sizes = np.unique(
        classes[order], return_index=True, return_inverse=True, return_counts=True
    )
    start, size = first[inverse], sizes[inverse]
    # Steps to the right of its own place, round the class; the last one would end at its place.
    step = 1 + (uniform[order] * (size - 1)).astype(np.int64)
    others = np.empty(len(classes), np.int64)
    others[order] = order[start + (np.arange(len(classes)) - start + step) % size]
    return others
