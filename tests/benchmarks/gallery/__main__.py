"""Measure the time to fill and to search a gallery, by the number of examples.

The embeddings have 64 numbers and length 1, with 10 per class around its centre. Raw examples are
the same vectors. The distance is Euclidean.
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
from machine import describe_machine
from pushed_model import push_vectors

from diptych.inference.gallery import Gallery
from diptych.inference.pushed_model import PushedModel

EMBEDDING_SIZE, EXAMPLES_PER_CLASS, CHUNK_SIZE, NUM_QUERIES = 64, 10, 16_384, 51


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench-gallery", description=__doc__)
    parser.add_argument(
        "--examples", type=float, nargs="+", default=[1e5, 1e6], help="numbers of examples"
    )
    sizes = [int(number) for number in parser.parse_args().examples]
    print(f"On {describe_machine()}\n")
    print(
        "| examples | enroll, s | enroll 1 more, s | open, s "
        "| identify 1, ms | identify 256, ms each | MB |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        model = PushedModel(
            push_vectors(folder / "serving", columns=(("v", EMBEDDING_SIZE),), threshold=0.5)
        )
        for size in sizes:
            print(measure(folder / str(size), model, size), flush=True)


def measure(folder: Path, model: PushedModel, num_examples: int) -> str:
    generator = np.random.default_rng(0)
    embeddings = unit_length(
        np.repeat(
            unit_length(
                generator.normal(size=(-(-num_examples // EXAMPLES_PER_CLASS), EMBEDDING_SIZE))
            ),
            EXAMPLES_PER_CLASS,
            axis=0,
        )
        + generator.normal(
            size=(-(-num_examples // EXAMPLES_PER_CLASS) * EXAMPLES_PER_CLASS, EMBEDDING_SIZE)
        )
        * 0.05
    )[:num_examples].astype(np.float32)
    gallery = Gallery.create_or_open(folder, model)
    enroll_s = measure_seconds(lambda: enroll(gallery, embeddings))
    more = unit_length(generator.normal(size=(NUM_QUERIES, EMBEDDING_SIZE))).astype(np.float32)
    more_s = statistics.median(
        measure_seconds(
            lambda vector=vector: gallery.enroll(["new"], vector[None], ["new"], vector[None])
        )
        for vector in more
    )
    open_s = measure_seconds(lambda: Gallery.open(folder, model))
    queries = unit_length(embeddings[:: max(1, num_examples // 256)][:256] + 0.01).astype(
        np.float32
    )
    gallery.identify(queries[:1])  # builds the search index
    one_s = statistics.median(
        measure_seconds(lambda query=query: gallery.identify(query[None]))
        for query in queries[:NUM_QUERIES]
    )
    many_s = measure_seconds(lambda: gallery.identify(queries)) / len(queries)
    disk = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
    return (
        f"| {num_examples:,} | {enroll_s:.1f} | {more_s:.2f} | {open_s:.2f} | {one_s * 1e3:.1f} | "
        f"{many_s * 1e3:.1f} | {disk:,.0f} |"
    )


def enroll(gallery: Gallery, embeddings: np.ndarray) -> None:
    for start in range(0, len(embeddings), CHUNK_SIZE):
        chunk = embeddings[start : start + CHUNK_SIZE]
        numbers = range(start, start + len(chunk))
        labels = [f"class {number // EXAMPLES_PER_CLASS}" for number in numbers]
        gallery.enroll(labels, chunk, [f"examples.parquet:{number}" for number in numbers], chunk)


def unit_length(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def measure_seconds(function) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
