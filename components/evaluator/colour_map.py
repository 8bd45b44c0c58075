"""A diverging colour map for vectors."""

import numpy as np
import numpy.typing as npt


def apply_colour_map(
    values: npt.NDArray[np.floating], max_abs: npt.NDArray[np.floating]
) -> npt.NDArray[np.uint8]:
    """Map numbers to RGB: blue for negative, white for 0, red for positive.

    Args:
      values: (...) numbers to map.
      max_abs: Absolute value that gets the full colour; broadcasts against ``values``.

    Returns:
      (..., 3) RGB.
    """
    relative = np.divide(values, max_abs, out=np.zeros_like(values), where=max_abs > 0)
    fading = 1 - np.abs(relative)
    red, blue = np.where(relative < 0, fading, 1), np.where(relative > 0, fading, 1)
    return (255 * np.stack([red, fading, blue], axis=-1)).round().astype(np.uint8)
