"""Reference losses and distances in plain Python, one number at a time, as in the papers.

An in-batch loss returns the list of terms of each anchor.
"""

import numpy as np


def distance(distance_name, a, b):
    components = [(float(x), float(y)) for x, y in zip(a, b, strict=True)]
    if distance_name == "euclidean":
        return sum((x - y) ** 2 for x, y in components) ** 0.5
    if distance_name == "squared_euclidean":
        return sum((x - y) ** 2 for x, y in components)
    if distance_name == "manhattan":
        return sum(abs(x - y) for x, y in components)
    assert distance_name == "cosine"
    return 1.0 - cosine(a, b)


def cosine(a, b):
    lengths = sum(float(x) ** 2 for x in a) ** 0.5 * sum(float(y) ** 2 for y in b) ** 0.5
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True)) / lengths


def positives_and_negatives(labels):
    """Yield each anchor with the rows of its positives and negatives; both empty if one is."""
    for anchor, label in enumerate(labels):
        positives = [i for i, other in enumerate(labels) if other == label and i != anchor]
        negatives = [i for i, other in enumerate(labels) if other != label]
        yield anchor, *((positives, negatives) if positives and negatives else ([], []))


def triplets_all(labels, embeddings, margin, distance_name):
    terms = []
    for a, positives, negatives in positives_and_negatives(labels):
        anchor_terms = []
        for p in positives:
            for n in negatives:
                positive = distance(distance_name, embeddings[a], embeddings[p])
                negative = distance(distance_name, embeddings[a], embeddings[n])
                if positive - negative + margin > 0:
                    anchor_terms.append(positive - negative + margin)
        terms.append(anchor_terms)
    return terms


def triplets_hard(labels, embeddings, margin, distance_name):
    terms = []
    for a, positives, negatives in positives_and_negatives(labels):
        if not positives:
            terms.append([])
            continue
        farthest = max(distance(distance_name, embeddings[a], embeddings[p]) for p in positives)
        nearest = min(distance(distance_name, embeddings[a], embeddings[n]) for n in negatives)
        terms.append([max(farthest - nearest + margin, 0.0)])
    return terms


def triplets_semi_hard(labels, embeddings, margin, distance_name):
    terms = []
    for a, positives, negatives in positives_and_negatives(labels):
        anchor_terms = []
        for p in positives:
            positive = distance(distance_name, embeddings[a], embeddings[p])
            distances = [distance(distance_name, embeddings[a], embeddings[n]) for n in negatives]
            farther = [d for d in distances if d > positive]
            negative = min(farther) if farther else max(distances)
            anchor_terms.append(max(positive - negative + margin, 0.0))
        terms.append(anchor_terms)
    return terms


def circle(labels, embeddings, margin, gamma, weight_embeddings=None):
    """Circle loss; ``weight_embeddings`` replaces the embeddings in the weights."""
    if weight_embeddings is None:
        weight_embeddings = embeddings
    terms = []
    for a, positives, negatives in positives_and_negatives(labels):
        if not positives:
            terms.append([])
            continue
        pull = push = np.longdouble(0)  # exceeds the range of a double for large gamma
        for p in positives:
            weight = max(1 + margin - cosine(weight_embeddings[a], weight_embeddings[p]), 0.0)
            s = np.longdouble(cosine(embeddings[a], embeddings[p]))
            pull += np.exp(-gamma * weight * (s - (1 - margin)))
        for n in negatives:
            weight = max(cosine(weight_embeddings[a], weight_embeddings[n]) + margin, 0.0)
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
        positive = [cosine(embeddings[a], embeddings[p]) for p in positives]
        negative = [cosine(embeddings[a], embeddings[n]) for n in negatives]
        pull = sum(np.exp(-alpha * (s - base)) for s in positive if s < max(negative) + epsilon)
        push = sum(np.exp(beta * (s - base)) for s in negative if s > min(positive) - epsilon)
        terms.append([float(np.log(1 + pull) / alpha + np.log(1 + push) / beta)])
    return terms


def supervised_contrastive(labels, embeddings, temperature):
    terms = []
    for a, positives, _ in positives_and_negatives(labels):
        if not positives:
            terms.append([])
            continue
        others = [i for i in range(len(labels)) if i != a]
        denominator = sum(
            np.exp(cosine(embeddings[a], embeddings[i]) / temperature) for i in others
        )
        logs = [
            np.log(np.exp(cosine(embeddings[a], embeddings[p]) / temperature) / denominator)
            for p in positives
        ]
        terms.append([float(-sum(logs) / len(positives))])
    return terms
