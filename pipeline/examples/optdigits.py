"""Writes the 1,797 UCI handwritten digits of scikit-learn as a folder of PNG files per class.

They are 8 x 8 pixels with 17 shades, which are spread over those of the file.

    python pipeline/examples/optdigits.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from diptych.schemas.files import atomic_folder

_SHADES = 16


def main(folder: Path) -> None:
    """Writes the folder beside, and renames it; one that is there already is kept."""
    if folder.exists():
        print(f"{folder} is there already.")
        return
    digits = load_digits()
    pixels = np.round(digits.images * (255 / _SHADES)).astype(np.uint8)
    with atomic_folder(folder) as beside:
        for row, (image, digit) in enumerate(zip(pixels, digits.target, strict=True)):
            (beside / str(digit)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(beside / str(digit) / f"{row:04d}.png")
    print(f"Wrote {len(pixels):,} digits of {len(digits.target_names)} classes to {folder}.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
