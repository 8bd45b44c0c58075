"""Find near-duplicate images by their fingerprints: the same picture encoded or resized again.

Candidates agree in 16 consecutive bits of their hashes. They are verified on their thumbnails:

- The squared distance of the normalized grey values is at most 0.012. The closest of 5,000
  different MNIST digits are 0.0137 apart.
- After a change of brightness or contrast has been fitted, 0.005 at most remains. JPEG of quality
  60 results in up to 0.0044 for MNIST digits and in 0.0005 for photographs.
- A small movement explains less than 30 % of the rest. Drawings of one shape at slightly different
  angles or places are as close as re-encoded images, but a shift, rotation, scaling and shear
  explain 37 to 80 % of their difference, and 2 to 27 % of the difference between encodings.
- The colours are similar.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from diptych.components.example_gen.fingerprints import (
    GREY_VALUES,
    THUMBNAIL_SIDE,
    UInt64s,
    normalize_thumbnails,
)

_NUM_BANDS = 4
_BAND_BITS = 64 // _NUM_BANDS
_MAX_NEIGHBORS = 64  # in the sorted order of a band, so that the work is linear
_MAX_BITS = 8  # that differ between candidates
_MAX_DISTANCE = 0.012  # squared, of normalized grey values; so are the next two
_MAX_REMAINDER = 0.005  # after a change of brightness
_ROUNDING = 1.5  # times the expected squared distance of equal but rounded values
_MAX_EXPLAINED = 0.3
_MAX_COLOUR_DIFFERENCE = 8  # of 255, and in addition:
_COLOUR_CHANGE = 0.15  # of the colour
_CHUNK = 1 << 14

Indices = npt.NDArray[np.int64]
Thumbnails = Callable[[Indices], npt.NDArray[np.uint8]]


def find_near_images(
    hashes: UInt64s,
    thumbnails: Thumbnails,
    is_needed: Callable[[Indices, Indices], npt.NDArray[np.bool_]],
) -> Iterator[tuple[Indices, Indices]]:
    """Find pairs of near-duplicates.

    Work: linear, at most ``_NUM_BANDS * _MAX_NEIGHBORS`` comparisons per image. Of more images with
    the same bits in a band, only those next to each other in the sorted order are compared.

    Args:
      hashes: (n,) from ``Fingerprints.near``, of images with different content, in an order that
        depends on their content alone.
      thumbnails: Returns the thumbnails of images by index.
      is_needed: Whether each pair of indices has to be compared. It may depend on the pairs that
        were yielded before, which saves most of the work on series such as frames of a video.

    Yields:
      Indices of the first and the second image of each pair. A pair may occur several times.
    """
    for candidates in _rechunk(_find_candidates(hashes)):
        needed = is_needed(*candidates)
        left, right = (each[needed] for each in candidates)
        near = are_near(thumbnails(left), thumbnails(right))
        if near.any():
            yield left[near], right[near]


def _find_candidates(hashes: UInt64s) -> Iterator[tuple[Indices, Indices]]:
    """Find pairs of images that agree in the bits of a band and in most others."""
    for band in range(_NUM_BANDS):
        shift = np.uint64(_BAND_BITS * band)
        rotated = (hashes << shift) | (hashes >> (np.uint64(64) - shift)) if band else hashes
        order = np.argsort(rotated, kind="stable")
        ordered = rotated[order]
        bands = ordered >> np.uint64(64 - _BAND_BITS)
        for distance in range(1, min(_MAX_NEIGHBORS + 1, len(hashes))):
            same_band = bands[distance:] == bands[:-distance]
            if not same_band.any():
                break
            differing = np.bitwise_count(ordered[distance:] ^ ordered[:-distance])
            found = np.flatnonzero(same_band & (differing <= _MAX_BITS))
            if len(found):
                yield order[found], order[found + distance]


def _rechunk(pairs: Iterator[tuple[Indices, Indices]]) -> Iterator[tuple[Indices, Indices]]:
    """Join small parts and divide large ones, so that each has about ``_CHUNK`` pairs."""
    waiting: list[tuple[Indices, Indices]] = []
    num_waiting = 0
    for left, right in pairs:
        for first in range(0, len(left), _CHUNK):
            waiting.append((left[first : first + _CHUNK], right[first : first + _CHUNK]))
            num_waiting += len(waiting[-1][0])
            if num_waiting >= _CHUNK:
                yield _join(waiting)
                waiting, num_waiting = [], 0
    if waiting:
        yield _join(waiting)


def _join(parts: Sequence[tuple[Indices, Indices]]) -> tuple[Indices, Indices]:
    return np.concatenate([left for left, _ in parts]), np.concatenate(
        [right for _, right in parts]
    )


def are_near(left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Return whether the images of each pair of thumbnails are near-duplicates."""
    near = np.zeros(len(left), bool)
    distances = _squared_distances(left[:, :GREY_VALUES], right[:, :GREY_VALUES])
    candidates = np.flatnonzero(distances <= _MAX_DISTANCE)
    colours = (each[candidates, GREY_VALUES:] for each in (left, right))
    candidates = candidates[_have_similar_colours(*colours)]
    if not len(candidates):
        return near
    left, right = left[candidates], right[candidates]
    remainder, explained = _compare(normalize_thumbnails(left), normalize_thumbnails(right))
    variances = (each[:, :GREY_VALUES].var(axis=1) for each in (left, right))
    rounding = sum(1 / (12 * variance) for variance in variances)
    is_equal = remainder <= _ROUNDING * rounding
    near[candidates] = (remainder <= _MAX_REMAINDER) & (is_equal | (explained < _MAX_EXPLAINED))
    return near


def _squared_distances(
    left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]
) -> npt.NDArray[np.float64]:
    """Return the squared distances of normalized grey values; infinity without contrast."""
    # float32 holds the sums exactly: 256 * 255 * 255 is less than 2^24.
    one, two = left.astype(np.float32), right.astype(np.float32)
    sums = [each.sum(axis=1).astype(np.float64) for each in (one, two)]
    squares, other_squares, products = (
        np.einsum("ij,ij->i", *each).astype(np.float64)
        for each in ((one, one), (two, two), (one, two))
    )
    # Covariance and variances, times the square of the number of values.
    covariance = GREY_VALUES * products - sums[0] * sums[1]
    variances = (GREY_VALUES * squares - sums[0] ** 2) * (
        GREY_VALUES * other_squares - sums[1] ** 2
    )
    distances = np.full(len(left), np.inf)
    has_contrast = variances > 0
    distances[has_contrast] = 2 - 2 * covariance[has_contrast] / np.sqrt(variances[has_contrast])
    return distances


def _have_similar_colours(
    left: npt.NDArray[np.uint8], right: npt.NDArray[np.uint8]
) -> npt.NDArray[np.bool_]:
    one, two = left.astype(np.int16) - 128, right.astype(np.int16) - 128
    # A change of brightness changes strong colours more.
    allowed = _MAX_COLOUR_DIFFERENCE + _COLOUR_CHANGE * np.maximum(np.abs(one), np.abs(two))
    similar: npt.NDArray[np.bool_] = (np.abs(one - two) <= allowed).all(axis=1)
    return similar


def _compare(
    left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Explain the differences of pairs of images.

    A change of brightness changes each grey value by a smooth function of it, here a polynomial of
    degree 3. A small movement changes an image by a combination of its derivatives, multiplied by
    the coordinates.

    Args:
      left: (n, 256) normalized grey values.
      right: (n, 256) those of the other images.

    Returns:
      (n,) squared difference that remains after a change of brightness, and (n,) fraction of it
      that a small affine movement explains.
    """
    mean = (left + right) / 2
    scaled = mean * THUMBNAIL_SIDE
    powers = np.stack([np.ones_like(scaled), scaled, scaled**2, scaled**3], axis=2)
    brightness = np.linalg.qr(powers).Q
    difference = (left - right)[:, None]
    images = mean.reshape(-1, THUMBNAIL_SIDE, THUMBNAIL_SIDE)
    down, across = np.gradient(images, axis=1), np.gradient(images, axis=2)
    place = (np.arange(THUMBNAIL_SIDE, dtype=np.float32) + 0.5) / THUMBNAIL_SIDE - 0.5
    x, y = np.meshgrid(place, place)
    changes = np.stack([across, down, x * across, y * across, x * down, y * down], axis=1)
    changes = changes.reshape(len(mean), 6, -1)
    difference = difference - difference @ brightness @ brightness.transpose(0, 2, 1)
    changes = changes - changes @ brightness @ brightness.transpose(0, 2, 1)
    remainder = (difference[:, 0] ** 2).sum(axis=1)
    products = changes @ changes.transpose(0, 2, 1) + 1e-6 * np.eye(6, dtype=np.float32)
    projections = changes @ difference.transpose(0, 2, 1)
    weights = np.linalg.solve(products, projections)
    explained = (weights * projections).sum(axis=(1, 2)) / np.maximum(remainder, 1e-12)
    return remainder, explained
