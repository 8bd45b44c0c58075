"""Enrolls vectors one change after another, as a process that a test can kill.

Arguments: folders of the gallery and of the model, the first number, how many, how many a change.
Prints the numbers that are enrolled when they are. Number n is the vector (n, 0), a class of its
own; the model's embedding is the vector itself.
"""

import sys
from pathlib import Path

import numpy as np

from diptych.inference.gallery import Gallery
from diptych.inference.pushed_model import PushedModel


def main(folder: str, version: str, first: int, number: int, at_once: int) -> None:
    gallery = Gallery.create_or_open(Path(folder), PushedModel(Path(version)))
    for start in range(first, first + number, at_once):
        numbers = np.arange(start, min(start + at_once, first + number))
        vectors = np.stack([numbers, np.zeros(len(numbers))], axis=1).astype(np.float32)
        names = [str(one) for one in numbers]
        gallery.enroll(names, vectors, names, vectors)
        print(*names, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:3], *map(int, sys.argv[3:]))
