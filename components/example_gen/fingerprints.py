"""Fingerprints of examples: keys that are equal or close if two examples are duplicates.

Vectors are equal after rounding if all their values fall into the same cells of a grid whose steps
are at most 2 % of the standard deviation of each column. Two grids, shifted by half a step, find
values next to the edge of a cell.

Images are near-duplicates if their thumbnails are close; see ``near_images``. The thumbnail of an
image has 16 x 16 grey values with full contrast, and 4 x 4 values of both colour differences.
"""

import dataclasses
import functools
import hashlib

import numpy as np
import numpy.typing as npt
from PIL import Image

THUMBNAIL_SIDE = 16
_COLOUR_SIDE = 4
GREY_VALUES = THUMBNAIL_SIDE**2
THUMBNAIL_BYTES = GREY_VALUES + 2 * _COLOUR_SIDE**2
MIN_ROUNDED_VALUES = 6  # with fewer values, different rows of a large table are equal by chance
_MAX_STEP = 0.02  # of the standard deviation
_MAX_COLLISIONS = 0.02  # of pairs of different values in a column, that may be in one cell
_MIN_COLLIDING_PAIRS = 3  # per row: in small samples, rows and their copies are a larger fraction
_SAMPLE_CELLS, _SAMPLE_SHIFTS = 1 << 18, 4
_MAX_CELL = 2.0**53  # larger numbers are no longer exact in float64
_MIN_SIDE = 32  # of images that are reduced by an integer factor before they are averaged
_MIN_CONTRAST = 4  # grey levels; the thumbnail of an image with less is noise
_HASH_ROWS = 16
_HASH_SEED = 20_251_201  # any constant

UInt64s = npt.NDArray[np.uint64]


@dataclasses.dataclass(frozen=True)
class Fingerprints:
    """Fingerprints of n examples, or of one side of n given pairs.

    Attributes:
      exact: (n,) Equal if the bytes of the files or all values are equal.
      content: (n,) Equal if the decoded pixels or all values are equal.
      near: (n, 2) Vectors: the cells of both grids. Images: bits of which most are equal in
        near-duplicates, and a second column of zeros.
      thumbnails: (n, ``THUMBNAIL_BYTES``) uint8 of images; None for vectors. All zeros for an image
        without contrast.
    """

    exact: UInt64s
    content: UInt64s
    near: UInt64s
    thumbnails: npt.NDArray[np.uint8] | None = None

    def take(self, rows: npt.NDArray[np.int64]) -> "Fingerprints":
        """Return the fingerprints of some examples."""
        thumbnails = None if self.thumbnails is None else self.thumbnails[rows]
        return Fingerprints(self.exact[rows], self.content[rows], self.near[rows], thumbnails)


def grid_steps(sample: npt.NDArray[np.float32]) -> npt.NDArray[np.float64] | None:
    """Choose the steps of the grids for vectors.

    A step is at most 2 % of the standard deviation of its column, and so small that at most 2 % of
    random pairs of different values are closer. Without the second limit, an outlier or a long tail
    would increase the steps until all other rows are in one cell.

    Steps are powers of two, so that similar samples result in the same steps.

    Args:
      sample: (n, d) vectors.

    Returns:
      (d,) steps; None if vectors of this size are only compared exactly.
    """
    if sample.shape[1] < MIN_ROUNDED_VALUES or not len(sample):
        return None
    spread = sample.astype(np.float64).std(axis=0)
    largest = np.minimum(spread * _MAX_STEP, _small_differences(sample))
    constant = largest == 0
    largest[constant] = np.maximum(np.abs(sample[0, constant]), 1e-30) * _MAX_STEP
    steps: npt.NDArray[np.float64] = np.exp2(np.floor(np.log2(largest)))
    return steps


def _small_differences(sample: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Return the (d,) quantile ``_MAX_COLLISIONS`` of the differences of values that differ.

    Zero for a constant column.
    """
    num_rows = max(_SAMPLE_CELLS // sample.shape[1], _SAMPLE_SHIFTS + 1)
    chosen = np.random.RandomState(_HASH_SEED).permutation(len(sample))[:num_rows]
    rows = sample[chosen].astype(np.float64)
    shifts = range(1, _SAMPLE_SHIFTS + 1)
    shifted = [np.abs(rows - np.roll(rows, shift, axis=0)) for shift in shifts]
    differences = np.sort(np.concatenate(shifted), axis=0)
    num_equal = (differences == 0).sum(axis=0)
    fraction = max(_MAX_COLLISIONS, _MIN_COLLIDING_PAIRS / len(rows))
    position = num_equal + ((len(differences) - num_equal) * fraction).astype(np.int64)
    position = np.minimum(position, len(differences) - 1)
    quantile: npt.NDArray[np.float64] = differences[position, np.arange(sample.shape[1])]
    return quantile


def fingerprint_vectors(
    vectors: npt.NDArray[np.float32], steps: npt.NDArray[np.float64] | None
) -> Fingerprints:
    """Compute the fingerprints of (n, d) vectors; ``steps`` as from ``grid_steps``."""
    bits = np.ascontiguousarray(vectors).view(np.uint32)
    exact = _hash_rows(bits.astype(np.uint64))
    if steps is None:
        return Fingerprints(exact, exact, np.stack([exact, exact], axis=1))
    cells = vectors / steps
    # Values outside the grid are compared exactly, by their bits.
    cells = np.where(np.abs(cells) < _MAX_CELL, cells, bits)
    near = [
        _hash_rows(np.floor(cells + shift).astype(np.int64).view(np.uint64)) for shift in (0, 0.5)
    ]
    return Fingerprints(exact, exact, np.stack(near, axis=1))


class ImageFingerprinter:
    """Collects the fingerprints of the images of one batch."""

    def __init__(self) -> None:
        self._exact: list[int] = []
        self._content: list[int] = []
        self._small: list[npt.NDArray[np.uint8]] = []
        self._shapes: list[tuple[int, int]] = []

    def add(self, content_id: str, pixels: npt.NDArray[np.uint8]) -> None:
        """Add an image.

        Args:
          content_id: Hash of the bytes of the file, as from ``compute_ids``.
          pixels: (height, width, 3) uint8.
        """
        self._exact.append(int(content_id[:16], 16))
        # SHA-256 is twice as fast as BLAKE2 on processors with instructions for it.
        digest = hashlib.sha256(str(pixels.shape).encode())
        digest.update(np.ascontiguousarray(pixels).data)
        self._content.append(int.from_bytes(digest.digest()[:8], "little"))
        self._small.append(_reduce(pixels))
        self._shapes.append((pixels.shape[0], pixels.shape[1]))

    def build(self) -> Fingerprints:
        """Return the fingerprints in the order of the calls of ``add``."""
        thumbnails = np.zeros((len(self._small), THUMBNAIL_BYTES), np.uint8)
        by_shape: dict[tuple[int, ...], list[int]] = {}
        for row, shape in enumerate(self._shapes):
            by_shape.setdefault(shape, []).append(row)
        for (height, width), rows in by_shape.items():
            small = np.stack([self._small[row] for row in rows])
            thumbnails[rows] = _make_thumbnails(small, height, width)
        content = np.array(self._content, np.uint64)
        near = np.zeros((len(content), 2), np.uint64)
        near[:, 0] = _hash_thumbnails(thumbnails)
        return Fingerprints(np.array(self._exact, np.uint64), content, near, thumbnails)


def normalize_thumbnails(thumbnails: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Return the grey values with mean 0 and norm 1; zeros for an image without contrast."""
    grey = thumbnails[:, :GREY_VALUES].astype(np.float32)
    grey -= grey.mean(axis=1, keepdims=True)
    grey /= np.maximum(np.linalg.norm(grey, axis=1, keepdims=True), 1e-6)
    return grey


def mix_bits(values: UInt64s) -> UInt64s:
    """Scramble 64-bit integers, one to one (the finalizer of SplitMix64)."""
    values = values ^ (values >> np.uint64(30))
    values = values * np.uint64(0xBF58476D1CE4E5B9)
    values = values ^ (values >> np.uint64(27))
    values = values * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _hash_rows(rows: UInt64s) -> UInt64s:
    """Hash each row of (n, d) integers: a sum with random odd factors, modulo 2^64."""
    factors = mix_bits(np.arange(1, rows.shape[1] + 1, dtype=np.uint64) + np.uint64(_HASH_SEED))
    return mix_bits((rows * (factors | np.uint64(1))).sum(axis=1, dtype=np.uint64))


def _reduce(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Reduce a large image by integer factors. Pixels at the end may stand for fewer ones."""
    down, across = (_reduction(size) for size in pixels.shape[:2])
    if down == across == 1:
        return pixels
    reduced: npt.NDArray[np.uint8] = np.asarray(Image.fromarray(pixels).reduce((across, down)))
    return reduced


def _reduction(size: int) -> int:
    return max(1, size // _MIN_SIDE)


def _make_thumbnails(
    pixels: npt.NDArray[np.uint8], height: int, width: int
) -> npt.NDArray[np.uint8]:
    """Compute the thumbnails of images.

    Args:
      pixels: (n, rows, columns, 3) images as returned by ``_reduce``.
      height: Height before the reduction.
      width: Width before the reduction.
    """
    num_images = len(pixels)
    down, across = (_averaging(size, THUMBNAIL_SIDE, _reduction(size)) for size in (height, width))
    if (pixels[..., 0] == pixels[..., 1]).all() and (pixels[..., 0] == pixels[..., 2]).all():
        grey = down @ pixels[..., 0].astype(np.float32, order="C") @ across.T
        colours = np.full((num_images, 2 * _COLOUR_SIDE**2), 128, np.float32)
    else:
        channels = np.moveaxis(pixels, 3, 1).astype(np.float32, order="C")
        red, green, blue = np.moveaxis(down @ channels @ across.T, 1, 0)
        grey = 0.299 * red + 0.587 * green + 0.114 * blue
        shrink = _averaging(THUMBNAIL_SIDE, _COLOUR_SIDE)
        differences = np.stack([0.5 * (blue - grey), 0.5 * (red - grey)], axis=1)
        colours = 128 + (shrink @ differences @ shrink.T).reshape(num_images, -1)
    grey = grey.reshape(num_images, -1)
    low = grey.min(axis=1, keepdims=True)
    contrast = grey.max(axis=1, keepdims=True) - low
    grey = (grey - low) * (255 / np.maximum(contrast, _MIN_CONTRAST))
    values = np.rint(np.concatenate([grey, colours], axis=1)).clip(0, 255)
    thumbnails: npt.NDArray[np.uint8] = values.astype(np.uint8)
    thumbnails[contrast.ravel() < _MIN_CONTRAST] = 0
    return thumbnails


def _averaging(size: int, num_cells: int, factor: int = 1) -> npt.NDArray[np.float32]:
    """Return the matrix that averages pixels over cells of equal size.

    Args:
      size: Number of pixels before a reduction by ``factor``.
      num_cells: Number of cells.
      factor: Number of pixels averaged before; the last one may stand for fewer.

    Returns:
      (num_cells, ceil(size / factor)) weights.
    """
    edges = np.linspace(0, size, num_cells + 1)
    starts = np.arange(0, size, factor)
    ends = np.minimum(starts + factor, size)
    overlap = np.minimum(edges[1:, None], ends) - np.maximum(edges[:-1, None], starts)
    weights = np.maximum(overlap, 0)
    averaging: npt.NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(
        np.float32
    )
    return averaging


def _hash_thumbnails(thumbnails: npt.NDArray[np.uint8]) -> UInt64s:
    """Hash thumbnails to 64 bits: the sides of random planes on which they lie.

    A bit differs with a probability of angle / pi: 0.03 for thumbnails at the limit of
    ``near_images``, so about 2 of 64 bits.
    """
    grey, planes = normalize_thumbnails(thumbnails), _random_planes()
    # A few rows at a time: BLAS starts threads for larger products, which costs more than it saves.
    sides = np.empty((len(grey), 64), bool)
    for first in range(0, len(grey), _HASH_ROWS):
        sides[first : first + _HASH_ROWS] = grey[first : first + _HASH_ROWS] @ planes > 0
    hashes: UInt64s = np.packbits(sides, axis=1).view(">u8").ravel().astype(np.uint64)
    return hashes


@functools.cache
def _random_planes() -> npt.NDArray[np.float32]:
    # RandomState promises the same numbers in all versions of NumPy.
    planes = np.random.RandomState(_HASH_SEED).standard_normal((GREY_VALUES, 64))
    return planes.astype(np.float32)
