"""Enroll vectors in several changes, in a process that a test can kill.

Arguments: folder of the gallery, folder of the model, first number, number of vectors, vectors per
change. Prints the numbers after they are enrolled. Number n is the vector (n, 0) with the label n;
the embedding is the vector itself.
"""

import sys
from pathlib import Path

import numpy as np

from diptych.inference.gallery import Gallery
from diptych.inference.pushed_model import PushedModel


def main(folder: str, version: str, first: int, num_vectors: int, change_size: int) -> None:
    gallery = Gallery.create_or_open(Path(folder), PushedModel(Path(version)))
    for start in range(first, first + num_vectors, change_size):
        numbers = np.arange(start, min(start + change_size, first + num_vectors))
        vectors = np.stack([numbers, np.zeros(len(numbers))], axis=1).astype(np.float32)
        names = [str(number) for number in numbers]
        gallery.enroll(names, vectors, names, vectors)
        print(*names, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
