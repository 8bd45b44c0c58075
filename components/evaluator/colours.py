"""Numbers as colours."""

import numpy as np
import numpy.typing as npt


def colours(
    values: npt.NDArray[np.floating], highest: npt.NDArray[np.floating]
) -> npt.NDArray[np.uint8]:
    """Numbers as (red, green, blue): from blue over white, which is 0, to red.

    Args:
      values: (...).
      highest: what they are at most, but for the sign; broadcasts.

    Returns:
      (..., 3).
    """
    share = np.divide(values, highest, out=np.zeros_like(values), where=highest > 0)
    fading = 1 - np.abs(share)
    red, blue = np.where(share < 0, fading, 1), np.where(share > 0, fading, 1)
    return (255 * np.stack([red, fading, blue], axis=-1)).round().astype(np.uint8)
