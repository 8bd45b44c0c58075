"""Write the 1,797 UCI handwritten digits of scikit-learn as a folder of PNG files per class.

The images have 8 x 8 pixels with 17 grey levels, which are scaled to 0-255.

    python pipeline/examples/optdigits.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from diptych.schemas.files import atomic_folder

_MAX_LEVEL = 16


def main(folder: Path) -> None:
    """Write the data set, unless the folder exists."""
    if folder.exists():
        print(f"{folder} already exists.")
        return
    digits = load_digits()
    pixels = np.round(digits.images * (255 / _MAX_LEVEL)).astype(np.uint8)
    with atomic_folder(folder) as tmp_folder:
        for row, (image, digit) in enumerate(zip(pixels, digits.target, strict=True)):
            (tmp_folder / str(digit)).mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(tmp_folder / str(digit) / f"{row:04d}.png")
    print(f"Wrote {len(pixels):,} digits of {len(digits.target_names)} classes to {folder}.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
