"""Sampling of augmentations in NumPy; ``augmentation_layer`` applies them."""

import numpy as np

from diptych.schemas.config.train import AugmentationConfig
from diptych.schemas.shards import InputShape

_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0)


class Augmenter:
    """Sample an augmentation for each example of a batch.

    Augmentations are sampled outside the graph, from a generator that depends on the batch, so that
    a batch has the same augmentations on any worker.

    An image is shifted, rotated, stretched and flipped. A vector x is moved to
    ``x + noise * g + a * (other - x)``, with g normal, a uniform in [0, ``mixing``] and ``other``
    another example of its class in the batch; the only example of a class gets just the noise.
    Chawla et al., "SMOTE", JAIR 2002, where ``other`` is one of the nearest neighbors and
    ``mixing`` is 1.

    Args:
      settings: Section ``train.augmentation``.
      shape: Shape of one input.

    Attributes:
      noise_size: Number of values per example; 0 if no augmentation is configured.
    """

    def __init__(self, settings: AugmentationConfig, shape: InputShape) -> None:
        self._settings = settings
        self._shape = shape.shape
        self._is_image = shape.kind == "image"
        strengths: tuple[float, ...] = (settings.noise, settings.mixing)
        if self._is_image:
            flips = float(settings.flip != "none")
            strengths = (settings.shift, settings.rotation, settings.zoom, flips)
        if settings.apply_to == "none" or not any(strengths):
            self.noise_size = 0
        else:
            self.noise_size = len(_IDENTITY) if self._is_image else shape.shape[0]

    def sample(
        self,
        generator: np.random.Generator,
        x: np.ndarray,
        classes: np.ndarray,
        repeats: np.ndarray,
    ) -> np.ndarray:
        """Sample the values by which ``AugmentationLayer`` transforms each example.

        Args:
          generator: Must depend on the batch alone.
          x: (n, *shape) examples.
          classes: (n,) class indices.
          repeats: (n,) integers, the number of times an example is placed in a round.

        Returns:
          (n, noise_size) float32. For images, affine transforms: output pixel (x, y) is read at
          (t0 x + t1 y + t2, t3 x + t4 y + t5). For vectors, the values to add. If only repeated
          examples are augmented, the others stay unchanged.
        """
        if not self.noise_size:
            return np.zeros((len(x), 0), np.float32)
        if self._is_image:
            noise = self._sample_transforms(generator, len(x))
        else:
            noise = self._sample_offsets(generator, x, classes)
        if self._settings.apply_to == "repeated":
            noise[repeats <= 1] = _IDENTITY if self._is_image else 0.0
        return noise.astype(np.float32)

    def _sample_transforms(self, generator: np.random.Generator, count: int) -> np.ndarray:
        """Sample affine transforms about the center of the image."""
        settings = self._settings
        height, width = self._shape[:2]
        angle = np.deg2rad(generator.uniform(-settings.rotation, settings.rotation, count))
        scale = 1 + generator.uniform(-settings.zoom, settings.zoom, (2, count))
        shift = generator.uniform(-settings.shift, settings.shift, (2, count))
        flip = generator.choice((-1, 1), (2, count))
        flip_x = flip[0] if settings.flip in ("horizontal", "both") else 1
        flip_y = flip[1] if settings.flip in ("vertical", "both") else 1
        center_x, center_y = (width - 1) / 2, (height - 1) / 2
        a0, a1 = np.cos(angle) * scale[0] * flip_x, -np.sin(angle) * scale[0] * flip_y
        b0, b1 = np.sin(angle) * scale[1] * flip_x, np.cos(angle) * scale[1] * flip_y
        a2 = center_x - a0 * center_x - a1 * center_y + shift[0] * width
        b2 = center_y - b0 * center_x - b1 * center_y + shift[1] * height
        zero = np.zeros(count)
        return np.stack([a0, a1, a2, b0, b1, b2, zero, zero], axis=1)

    def _sample_offsets(
        self, generator: np.random.Generator, x: np.ndarray, classes: np.ndarray
    ) -> np.ndarray:
        """Sample Gaussian noise plus a fraction of the way to another example of the class."""
        noise = generator.normal(0, self._settings.noise, x.shape)
        fraction = generator.uniform(0, self._settings.mixing, (len(x), 1))
        others = _choose_same_class(classes, generator.random(len(x)))
        offsets: np.ndarray = noise + fraction * (x[others].astype(np.float64) - x)
        return offsets


def _choose_same_class(classes: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """Choose another example of the class for each example; itself if there is no other.

    Args:
      classes: (n,) class indices.
      uniform: (n,) in [0, 1), selects one of the other examples.

    Returns:
      (n,) row numbers.
    """
    order = np.argsort(classes, kind="stable")  # groups the classes
    _, first, inverse, sizes = np.unique(
        classes[order], return_index=True, return_inverse=True, return_counts=True
    )
    start, size = first[inverse], sizes[inverse]
    # A cyclic step of 1 to size - 1 within the class never returns to the example itself.
    step = 1 + (uniform[order] * (size - 1)).astype(np.int64)
    others = np.empty(len(classes), np.int64)
    others[order] = order[start + (np.arange(len(classes)) - start + step) % size]
    return others
