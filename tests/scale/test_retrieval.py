"""Retrieval among 100,000 embeddings, whose distance matrix would need 40 GB."""

import concurrent.futures
import multiprocessing
import time

import numpy as np
from memory import measure_memory_growth

from diptych.components.evaluator.retrieval import evaluate_retrieval

TOTAL, QUERIES = 100_000, 20_000
CHECKED = 50


def embeddings_and_classes():
    """Make one class of 5,000, 1,500 classes of ten and 80,000 classes of one."""
    sizes = np.concatenate([[5000], np.full(1500, 10), np.full(80_000, 1)])
    generator = np.random.default_rng(0)
    classes = generator.permutation(np.repeat(np.arange(len(sizes)), sizes))
    centres = generator.normal(size=(len(sizes), 64))
    return (centres[classes] + generator.normal(size=(TOTAL, 64))).astype(np.float32), classes


def run_search():
    """Return memory in bytes, duration in seconds and the retrieval result."""
    embeddings, classes = embeddings_and_classes()
    evaluate_retrieval(embeddings[:100], classes[:100] % 3, "euclidean")  # warm-up: loads libraries
    results, start = [], time.perf_counter()
    peak = measure_memory_growth(
        lambda: results.append(evaluate_retrieval(embeddings, classes, "euclidean"))
    )
    return peak, time.perf_counter() - start, results[0]


def test_100_000_embeddings_are_searched_in_limited_memory(capsys):
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
        peak, seconds, result = process.submit(run_search).result()
    with capsys.disabled():
        print(f"\n{QUERIES:,} queries among {TOTAL:,}: {peak >> 20} MB, {seconds:.0f} s")
    assert peak < 2**29
    assert (result.gallery_size, len(result.query)) == (TOTAL, QUERIES)

    embeddings, classes = embeddings_and_classes()
    for index in np.linspace(0, QUERIES - 1, CHECKED).astype(int):
        query = result.query[index]
        nearest = np.argsort(np.square(embeddings - embeddings[query]).sum(axis=1))
        hits = classes[nearest[nearest != query]] == classes[query]
        relevant = hits.sum()
        precision = np.cumsum(hits[:relevant]) / np.arange(1, relevant + 1)
        assert result.recall_at_1[index] == hits[0]
        assert result.recall_at_5[index] == hits[:5].any()
        assert (
            abs(result.map_at_r[index] - (precision * hits[:relevant]).sum() / relevant) < 1e-5
        )  # in float32, close neighbours can swap ranks
