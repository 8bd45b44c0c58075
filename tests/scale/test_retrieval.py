"""Retrieval among a hundred thousand embeddings, of which all distances would take 40 GB."""

import concurrent.futures
import multiprocessing
import time

import numpy as np
from memory import growth

from diptych.components.evaluator.retrieval import retrieve

TOTAL, QUERIES = 100_000, 20_000
CHECKED = 50


def embeddings_and_classes():
    """A class of 5,000, 1,500 of ten, and 80,000 of one."""
    sizes = np.concatenate([[5000], np.full(1500, 10), np.full(80_000, 1)])
    generator = np.random.default_rng(0)
    classes = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = generator.normal(size=(len(sizes), 64))
    return (centres[classes] + generator.normal(size=(TOTAL, 64))).astype(np.float32), classes


def search():
    """Bytes, seconds, and what was found."""
    embeddings, classes = embeddings_and_classes()
    retrieve(embeddings[:100], classes[:100] % 3, "euclidean")  # loads what is loaded once
    found, start = [], time.perf_counter()
    held = growth(lambda: found.append(retrieve(embeddings, classes, "euclidean")))
    return held, time.perf_counter() - start, found[0]


def test_a_hundred_thousand_embeddings_are_searched_in_bounded_memory(capsys):
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
        held, seconds, found = process.submit(search).result()
    with capsys.disabled():
        print(f"\n{QUERIES:,} queries among {TOTAL:,}: {held >> 20} MB, {seconds:.0f} s")
    assert held < 2**29
    assert (found.gallery, len(found.query)) == (TOTAL, QUERIES)

    embeddings, classes = embeddings_and_classes()
    for place in np.linspace(0, QUERIES - 1, CHECKED).astype(int):
        query = found.query[place]
        nearest = np.argsort(np.square(embeddings - embeddings[query]).sum(axis=1))
        hits = classes[nearest[nearest != query]] == classes[query]
        relevant = hits.sum()
        precision = np.cumsum(hits[:relevant]) / np.arange(1, relevant + 1)
        assert found.at_1[place] == hits[0]
        assert found.at_5[place] == hits[:5].any()
        assert (
            abs(found.map_at_r[place] - (precision * hits[:relevant]).sum() / relevant) < 1e-5
        )  # in float32, neighbours of 5,000 may change places
