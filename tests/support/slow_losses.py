"""Losses and distances as the papers write them: one number at a time, in plain Python.

Each in-batch loss gives, for each anchor, the list of its terms.
"""

import numpy as np


def distance(name, a, b):
    parts = [(float(x), float(y)) for x, y in zip(a, b, strict=True)]
    if name == "euclidean":
        return sum((x - y) ** 2 for x, y in parts) ** 0.5
    if name == "squared_euclidean":
        return sum((x - y) ** 2 for x, y in parts)
    if name == "manhattan":
        return sum(abs(x - y) for x, y in parts)
    assert name == "cosine"
    return 1.0 - cosine(a, b)


def cosine(a, b):
    length = sum(float(x) ** 2 for x in a) ** 0.5 * sum(float(y) ** 2 for y in b) ** 0.5
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True)) / length


def positives_and_negatives(labels):
    """For each anchor both lists of rows, empty where one of them would be."""
    for anchor, label in enumerate(labels):
        positives = [i for i, other in enumerate(labels) if other == label and i != anchor]
        negatives = [i for i, other in enumerate(labels) if other != label]
        yield anchor, *((positives, negatives) if positives and negatives else ([], []))


def triplets_all(labels, embeddings, margin, name):
    terms = []
    for a, positives, negatives in positives_and_negatives(labels):
        of_anchor = []
        for p in positives:
            for n in negatives:
                near = distance(name, embeddings[a], embeddings[p])
                far = distance(name, embeddings[a], embeddings[n])
                if near - far + margin > 0:
                    of_anchor.append(near - far + margin)
        terms.append(of_anchor)
    return terms


def triplets_hard(labels, embeddings, margin, name):
    terms = []
    for a, positives, negatives in positives_and_negatives(labels):
        if not positives:
            terms.append([])
            continue
        farthest = max(distance(name, embeddings[a], embeddings[p]) for p in positives)
        nearest = min(distance(name, embeddings[a], embeddings[n]) for n in negatives)
        terms.append([max(farthest - nearest + margin, 0.0)])
    return terms


def triplets_semi_hard(labels, embeddings, margin, name):
    terms = []
    for a, positives, negatives in positives_and_negatives(labels):
        of_anchor = []
        for p in positives:
            near = distance(name, embeddings[a], embeddings[p])
            others = [distance(name, embeddings[a], embeddings[n]) for n in negatives]
            farther = [far for far in others if far > near]
            chosen = min(farther) if farther else max(others)
            of_anchor.append(max(near - chosen + margin, 0.0))
        terms.append(of_anchor)
    return terms


def circle(labels, embeddings, margin, gamma, weighed_by=None):
    """``weighed_by``: the embeddings that the weights are taken of, if these are to be held."""
    weighed_by = embeddings if weighed_by is None else weighed_by
    terms = []
    for a, positives, negatives in positives_and_negatives(labels):
        if not positives:
            terms.append([])
            continue
        pull = push = np.longdouble(0)  # beyond the range of a double for large gamma
        for p in positives:
            weight = max(1 + margin - cosine(weighed_by[a], weighed_by[p]), 0.0)
            s = np.longdouble(cosine(embeddings[a], embeddings[p]))
            pull += np.exp(-gamma * weight * (s - (1 - margin)))
        for n in negatives:
            weight = max(cosine(weighed_by[a], weighed_by[n]) + margin, 0.0)
            s = np.longdouble(cosine(embeddings[a], embeddings[n]))
            push += np.exp(gamma * weight * (s - margin))
        terms.append([float(np.log(1 + push * pull))])
    return terms


def multi_similarity(labels, embeddings, alpha, beta, base, epsilon):
    terms = []
    for a, positives, negatives in positives_and_negatives(labels):
        if not positives:
            terms.append([])
            continue
        same = [cosine(embeddings[a], embeddings[p]) for p in positives]
        different = [cosine(embeddings[a], embeddings[n]) for n in negatives]
        pull = sum(np.exp(-alpha * (s - base)) for s in same if s < max(different) + epsilon)
        push = sum(np.exp(beta * (s - base)) for s in different if s > min(same) - epsilon)
        terms.append([float(np.log(1 + pull) / alpha + np.log(1 + push) / beta)])
    return terms


def supervised_contrastive(labels, embeddings, temperature):
    terms = []
    for a, positives, _ in positives_and_negatives(labels):
        if not positives:
            terms.append([])
            continue
        others = [i for i in range(len(labels)) if i != a]
        below = sum(np.exp(cosine(embeddings[a], embeddings[i]) / temperature) for i in others)
        logs = [
            np.log(np.exp(cosine(embeddings[a], embeddings[p]) / temperature) / below)
            for p in positives
        ]
        terms.append([float(-sum(logs) / len(positives))])
    return terms
