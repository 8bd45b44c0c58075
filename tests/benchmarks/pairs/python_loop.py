"""A typical Python loop: lists of indices by class, and ``random.choice``."""

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.schemas.config.pairs import PairsConfig

PairLists = tuple[list[int], list[int], list[int]]


def run(paths: list[str], folder: Path, settings: PairsConfig, width: int) -> int:
    """Sample and write the pairs; return their number."""
    del width
    folder.mkdir(parents=True)
    labels, inputs = read_examples(paths)
    left, right, same = sample_random_pairs(
        labels, count_pairs(len(labels), settings), settings.seed
    )
    np.save(folder / "inputs.npy", np.stack([np.frombuffer(x, np.uint8) for x in inputs]))
    table = {"left": left, "right": right, "same": same}
    pq.write_table(pa.table(table), folder / "pairs.parquet")
    return len(same)


def count_pairs(examples: int, settings: PairsConfig) -> int:
    """Return the approximate number of PairGen's pairs: all positives of each chunk, 1:1."""
    return examples * settings.rounds * (settings.examples_per_class - 1)


def read_examples(paths: list[str]) -> tuple[list[bytes], list[bytes]]:
    """Read labels and inputs."""
    import tensorflow as tf

    labels, inputs = [], []
    for record in tf.data.TFRecordDataset(paths, "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        labels.append(features["label"].bytes_list.value[0])
        inputs.append(features["x"].bytes_list.value[0])
    return labels, inputs


def sample_random_pairs(labels: list[bytes], num_pairs: int, seed: int) -> PairLists:
    """Sample half positive and half negative pairs, of uniformly sampled classes."""
    members = defaultdict(list)
    for row, label in enumerate(labels):
        members[label].append(row)
    classes = list(members)
    pairable = [label for label in classes if len(members[label]) > 1]
    rng = random.Random(seed)
    left, right, same = [], [], []
    for number in range(num_pairs):
        if number % 2:
            a, b = rng.sample(members[rng.choice(pairable)], 2)
        else:
            first, second = rng.sample(classes, 2)
            a, b = rng.choice(members[first]), rng.choice(members[second])
        left.append(a)
        right.append(b)
        same.append(number % 2)
    return left, right, same
