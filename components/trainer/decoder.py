"""From the embedding back to the input: a variational autoencoder, trained along."""

import math
from typing import Any

import keras
from keras import layers, ops

from diptych.schemas.config.model import Decoder as Settings
from diptych.schemas.shards import InputShape

_FIRST_SIDE = 8  # at most, of the map that an image grows from
_FILTERS = 32


def build_decoder(settings: Settings, embedding_size: int, shape: InputShape) -> "Decoder":
    """The decoder that the configuration asks for, with fresh weights.

    Args:
      settings: of the section ``model.decoder``.
      embedding_size: of what it is given.
      shape: of what it is to make of that.
    """
    posterior = keras.Sequential(
        [keras.Input([embedding_size]), layers.Dense(2 * settings.latent_size)], name="posterior"
    )
    hidden = [keras.Input([settings.latent_size]), layers.Dense(settings.units, activation="relu")]
    last = _image(shape.shape) if shape.kind == "image" else [layers.Dense(shape.shape[0])]
    body = keras.Sequential([*hidden, *last], name="body")
    return Decoder(posterior, body, settings.kl_weight)


class Decoder(keras.layers.Layer):
    """A variational autoencoder whose encoder ends in the embedding e.

    Kingma & Welling, "Auto-Encoding Variational Bayes", ICLR 2014, sections 2.3, 2.4 and 3:

        mean, log_variance = W e + b                                             (n, latent) each
        z = mean + noise * exp(log_variance / 2)
        KL = -1/2 sum_j (1 + log_variance_j - mean_j**2 - exp(log_variance_j))   appendix B
        loss = mean over the values of x of (x - decoded(z))**2  +  kl_weight * KL

    Changes: the squared error is a mean where a Gaussian likelihood has a sum, so that its size
    does not depend on that of the input; and the divergence has a weight. Pixels are scaled to
    [0, 1], vectors are taken as they are.

    Args:
      posterior: (n, embedding) to (n, 2 latent), the means and the logarithms of the variances.
      body: (n, latent) to (n, *shape).
      kl_weight: of the divergence from a standard normal.
    """

    def __init__(self, posterior: keras.Model, body: keras.Model, kl_weight: float) -> None:
        super().__init__(name="decoder")
        self.posterior = posterior
        self.body = body
        self.kl_weight = kl_weight

    @property
    def latent_size(self) -> int:
        """How many numbers of noise it takes for an example."""
        return self.body.input_shape[-1]

    def reconstruct(self, embedding: Any) -> Any:
        """The input that each embedding most likely comes of: decoded from the mean.

        Args:
          embedding: (n, size).

        Returns:
          (n, *shape) float32; pixels in [0, 1].
        """
        mean, _ = ops.split(self.posterior(embedding), 2, axis=1)
        return self.body(mean)

    def losses_of(self, x: Any, embedding: Any, noise: Any) -> Any:
        """The loss of each example.

        Args:
          x: (n, *shape), pixels 0 to 255 or numbers of a vector.
          embedding: (n, size) of x.
          noise: (n, latent), of a standard normal, drawn outside of the graph.

        Returns:
          (n,), >= 0.
        """
        mean, log_variance = ops.split(self.posterior(embedding), 2, axis=1)
        decoded = self.body(mean + noise * ops.exp(log_variance / 2))
        scale = 1 / 255 if len(x.shape) == 4 else 1.0
        squares = ops.square(ops.cast(x, "float32") * scale - decoded)
        error = ops.mean(squares, axis=tuple(range(1, len(x.shape))))
        return error + self.kl_weight * divergence(mean, log_variance)


def divergence(mean: Any, log_variance: Any) -> Any:
    """KL divergence of independent normals from the standard normal.

    Args:
      mean: (n, latent).
      log_variance: (n, latent).

    Returns:
      (n,), >= 0, 0 where all means are 0 and all variances 1.
    """
    return -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=1)


def _image(shape: tuple[int, ...]) -> list[keras.layers.Layer]:
    """A small map that is doubled until the image fits in it, and cut to size; in [0, 1]."""
    height, width, channels = shape
    doublings = max(0, math.ceil(math.log2(max(height, width) / _FIRST_SIDE)))
    rows, columns = (math.ceil(side / 2**doublings) for side in (height, width))
    over = (rows * 2**doublings - height, columns * 2**doublings - width)
    return [
        layers.Dense(rows * columns * _FILTERS, activation="relu"),
        layers.Reshape((rows, columns, _FILTERS)),
        *(
            layers.Conv2DTranspose(_FILTERS, 3, strides=2, padding="same", activation="relu")
            for _ in range(doublings)
        ),
        layers.Cropping2D(((0, over[0]), (0, over[1]))),
        layers.Conv2D(channels, 3, padding="same", activation="sigmoid"),
    ]
