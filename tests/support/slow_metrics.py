"""Evaluation metrics as slow loops over a distance between two embeddings."""

import numpy as np


def retrieval_metrics(embeddings, classes, distance):
    """Map each query row to its hit at 1, hit at 5 and MAP@R."""
    metrics = {}
    for query in range(len(classes)):
        gallery = [row for row in range(len(classes)) if row != query]
        num_relevant = sum(classes[row] == classes[query] for row in gallery)
        if num_relevant == 0:
            continue
        # At equal distances, other classes rank first.
        gallery.sort(
            key=lambda row: (
                distance(embeddings[query], embeddings[row]),
                classes[row] == classes[query],
            )
        )
        hits = [classes[row] == classes[query] for row in gallery]
        precisions = [sum(hits[: i + 1]) / (i + 1) * hits[i] for i in range(num_relevant)]
        metrics[query] = (float(hits[0]), float(any(hits[:5])), sum(precisions) / num_relevant)
    return metrics


def is_query_correct(query, own_support, other_supports, distance):
    """Return True if the mean distance to the own support set is the lowest, without ties."""
    own_mean = np.mean([distance(query, example) for example in own_support])
    return all(
        own_mean < np.mean([distance(query, example) for example in support])
        for support in other_supports
    )
