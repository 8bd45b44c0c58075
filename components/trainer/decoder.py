"""Decoder from the embedding to the input: a variational autoencoder, trained jointly."""

import math
from typing import Any

import keras
from keras import layers, ops

from diptych.schemas.config.model import DecoderConfig
from diptych.schemas.shards import InputShape

_MAX_FIRST_SIDE = 8  # of the feature map that is upsampled to the image
_FILTERS = 32


def build_decoder(settings: DecoderConfig, embedding_size: int, shape: InputShape) -> "Decoder":
    """Build the configured decoder with random weights.

    Args:
      settings: Section ``model.decoder``.
      embedding_size: Size of the embedding.
      shape: Shape of the input to reconstruct.
    """
    posterior = keras.Sequential(
        [keras.Input([embedding_size]), layers.Dense(2 * settings.latent_size)], name="posterior"
    )
    hidden = [keras.Input([settings.latent_size]), layers.Dense(settings.units, activation="relu")]
    if shape.kind == "image":
        last = _make_image_layers(shape.shape)
    else:
        last = [layers.Dense(shape.shape[0])]
    body = keras.Sequential([*hidden, *last], name="body")
    return Decoder(posterior, body, settings.kl_weight)


class Decoder(keras.layers.Layer):
    """A variational autoencoder whose encoder ends in the embedding e.

    Kingma & Welling, "Auto-Encoding Variational Bayes", ICLR 2014, sections 2.3, 2.4 and 3:

        mean, log_variance = W e + b                                             (n, latent) each
        z = mean + noise * exp(log_variance / 2)
        KL = -1/2 sum_j (1 + log_variance_j - mean_j**2 - exp(log_variance_j))   appendix B
        loss = mean over the values of x of (x - decoded(z))**2  +  kl_weight * KL

    Two differences: the squared error is a mean where a Gaussian likelihood has a sum, so that its
    magnitude does not depend on the input size; and the KL divergence has a weight. Pixels are
    scaled to [0, 1], vectors are used unchanged.

    Args:
      posterior: Model from (n, embedding) to (n, 2 latent), the means and the log variances.
      body: Model from (n, latent) to (n, *shape).
      kl_weight: Weight of the KL divergence from a standard normal.
    """

    def __init__(self, posterior: keras.Model, body: keras.Model, kl_weight: float) -> None:
        super().__init__(name="decoder")
        self.posterior = posterior
        self.body = body
        self.kl_weight = kl_weight

    @property
    def latent_size(self) -> int:
        """Number of latent dimensions, and of noise values per example."""
        return self.body.input_shape[-1]

    def reconstruct(self, embedding: Any) -> Any:
        """Decode the posterior mean of each embedding, its most likely input.

        Args:
          embedding: (n, size).

        Returns:
          (n, *shape) float32; pixels in [0, 1].
        """
        mean, _ = ops.split(self.posterior(embedding), 2, axis=1)
        return self.body(mean)

    def compute_losses(self, x: Any, embedding: Any, noise: Any) -> Any:
        """Compute the loss of each example.

        Args:
          x: (n, *shape), pixels 0 to 255 or vectors.
          embedding: (n, size), the embeddings of x.
          noise: (n, latent), standard normal, sampled outside of the graph.

        Returns:
          (n,), >= 0.
        """
        mean, log_variance = ops.split(self.posterior(embedding), 2, axis=1)
        decoded = self.body(mean + noise * ops.exp(log_variance / 2))
        scale = 1 / 255 if len(x.shape) == 4 else 1.0
        squares = ops.square(ops.cast(x, "float32") * scale - decoded)
        error = ops.mean(squares, axis=tuple(range(1, len(x.shape))))
        return error + self.kl_weight * kl_divergence(mean, log_variance)


def kl_divergence(mean: Any, log_variance: Any) -> Any:
    """Compute the KL divergence of independent normals from the standard normal.

    Args:
      mean: (n, latent).
      log_variance: (n, latent).

    Returns:
      (n,), >= 0; 0 if all means are 0 and all variances are 1.
    """
    return -0.5 * ops.sum(1 + log_variance - ops.square(mean) - ops.exp(log_variance), axis=1)


def _make_image_layers(shape: tuple[int, ...]) -> list[keras.layers.Layer]:
    """Create layers that double a small map until it covers the image, and crop it; in [0, 1]."""
    height, width, channels = shape
    num_doublings = max(0, math.ceil(math.log2(max(height, width) / _MAX_FIRST_SIDE)))
    rows, columns = (math.ceil(side / 2**num_doublings) for side in (height, width))
    excess = (rows * 2**num_doublings - height, columns * 2**num_doublings - width)
    return [
        layers.Dense(rows * columns * _FILTERS, activation="relu"),
        layers.Reshape((rows, columns, _FILTERS)),
        *(
            layers.Conv2DTranspose(_FILTERS, 3, strides=2, padding="same", activation="relu")
            for _ in range(num_doublings)
        ),
        layers.Cropping2D(((0, excess[0]), (0, excess[1]))),
        layers.Conv2D(channels, 3, padding="same", activation="sigmoid"),
    ]
