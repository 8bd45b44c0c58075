"""Fills a gallery and asks it: how long that takes, by the number of examples.

Embeddings of length 1 and 64 numbers, 10 a class around its centre. Raw examples are vectors of
the same numbers. The model's distance is Euclidean.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
sys.path.insert(0, str(Path(__file__).parents[2] / "support"))

import numpy as np
from machine import machine
from pushed_model import push_vectors

from diptych.inference.gallery import Gallery
from diptych.inference.pushed_model import PushedModel

SIZE, A_CLASS, AT_ONCE, QUERIES = 64, 10, 16_384, 51


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-gallery", description=__doc__)
    parser.add_argument(
        "--examples", type=float, nargs="+", default=[1e5, 1e6], help="numbers of examples"
    )
    sizes = [int(number) for number in parser.parse_args().examples]
    print(f"On {machine()}\n")
    print("| examples | enroll, s | one more, s | open, s | identify 1, ms | 256, ms each | MB |")
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = PushedModel(push_vectors(folder / "serving", columns=(("v", SIZE),), threshold=0.5))
        for size in sizes:
            print(row(folder / str(size), model, size), flush=True)


def row(folder: Path, model: PushedModel, size: int) -> str:
    generator = np.random.default_rng(0)
    embeddings = unit_length(
        np.repeat(unit_length(generator.normal(size=(-(-size // A_CLASS), SIZE))), A_CLASS, axis=0)
        + generator.normal(size=(-(-size // A_CLASS) * A_CLASS, SIZE)) * 0.05
    )[:size].astype(np.float32)
    gallery = Gallery.create_or_open(folder, model)
    enroll_s = seconds(lambda: enroll(gallery, embeddings))
    more = unit_length(generator.normal(size=(QUERIES, SIZE))).astype(np.float32)
    more_s = statistics.median(
        seconds(lambda one=one: gallery.enroll(["new"], one[None], ["new"], one[None]))
        for one in more
    )
    open_s = seconds(lambda: Gallery.open(folder, model))
    asked = unit_length(embeddings[:: max(1, size // 256)][:256] + 0.01).astype(np.float32)
    gallery.identify(asked[:1])  # makes what is made once
    one_s = statistics.median(
        seconds(lambda one=one: gallery.identify(one[None])) for one in asked[:QUERIES]
    )
    many_s = seconds(lambda: gallery.identify(asked)) / len(asked)
    disk = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    return (
        f"| {size:,} | {enroll_s:.1f} | {more_s:.2f} | {open_s:.2f} | {one_s * 1e3:.1f} | "
        f"{many_s * 1e3:.1f} | {disk:,.0f} |"
    )


def enroll(gallery: Gallery, embeddings: np.ndarray) -> None:
    for start in range(0, len(embeddings), AT_ONCE):
        some = embeddings[start : start + AT_ONCE]
        numbers = range(start, start + len(some))
        labels = [f"class {number // A_CLASS}" for number in numbers]
        gallery.enroll(labels, some, [f"examples.parquet:{number}" for number in numbers], some)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def seconds(work) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
