"""(d) The usual loop in Python: lists of indices by class, and ``random.choice``."""

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.schemas.config.pairs import Pairs

Drawn = tuple[list[int], list[int], list[int]]


def run(paths: list[str], folder: Path, settings: Pairs, width: int) -> int:
    """Draws and writes the pairs; returns how many."""
    del width
    folder.mkdir(parents=True)
    labels, inputs = read(paths)
    left, right, same = draw(labels, pairs_wanted(len(labels), settings), settings.seed)
    np.save(folder / "inputs.npy", np.stack([np.frombuffer(x, np.uint8) for x in inputs]))
    table = {"left": left, "right": right, "same": same}
    pq.write_table(pa.table(table), folder / "pairs.parquet")
    return len(same)


def pairs_wanted(examples: int, settings: Pairs) -> int:
    """About as many as PairGen draws: all same pairs of each chunk, and as many different ones."""
    return examples * settings.rounds * (settings.examples_per_class - 1)


def read(paths: list[str]) -> tuple[list[bytes], list[bytes]]:
    """Labels and inputs."""
    import tensorflow as tf

    labels, inputs = [], []
    for record in tf.data.TFRecordDataset(paths, "GZIP").as_numpy_iterator():
        features = tf.train.Example.FromString(record).features.feature
        labels.append(features["label"].bytes_list.value[0])
        inputs.append(features["x"].bytes_list.value[0])
    return labels, inputs


def draw(labels: list[bytes], wanted: int, seed: int) -> Drawn:
    """Half same pairs, half different ones, of classes that are drawn alike."""
    members = defaultdict(list)
    for row, label in enumerate(labels):
        members[label].append(row)
    classes = list(members)
    several = [label for label in classes if len(members[label]) > 1]
    rng = random.Random(seed)
    left, right, same = [], [], []
    for number in range(wanted):
        if number % 2:
            one, other = rng.sample(members[rng.choice(several)], 2)
        else:
            first, second = rng.sample(classes, 2)
            one, other = rng.choice(members[first]), rng.choice(members[second])
        left.append(one)
        right.append(other)
        same.append(number % 2)
    return left, right, same
