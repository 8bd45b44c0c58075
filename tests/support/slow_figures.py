"""Figures of an evaluation as slow loops, from a function of two embeddings."""

import numpy as np


def retrieval(embeddings, classes, distance):
    """Of each query: whether the first, and one of the first five, is of its class, and MAP@R."""
    figures = {}
    for query in range(len(classes)):
        others = [row for row in range(len(classes)) if row != query]
        relevant = sum(classes[row] == classes[query] for row in others)
        if relevant == 0:
            continue
        # Of the equally distant, those of other classes first.
        others.sort(
            key=lambda row: (
                distance(embeddings[query], embeddings[row]),
                classes[row] == classes[query],
            )
        )
        hits = [classes[row] == classes[query] for row in others]
        precisions = [sum(hits[: i + 1]) / (i + 1) * hits[i] for i in range(relevant)]
        figures[query] = (float(hits[0]), float(any(hits[:5])), sum(precisions) / relevant)
    return figures


def told_right(query, own, others, distance):
    """Whether the mean distance to its own examples is below that to those of each other class."""
    mean = np.mean([distance(query, known) for known in own])
    return all(mean < np.mean([distance(query, known) for known in other]) for other in others)
