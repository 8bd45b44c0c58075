"""One tf.Example per pair, with copies of both inputs. Writes only part of the pairs."""

from pathlib import Path

import numpy as np
from benchmarks.pairs.python_loop import count_pairs, read_examples, sample_random_pairs

from diptych.schemas.config.pairs import PairsConfig

_MAX_PAIRS = 100_000


def run(paths: list[str], folder: Path, settings: PairsConfig, width: int) -> int:
    """Sample and write the pairs; return their number."""
    import tensorflow as tf

    del width
    folder.mkdir(parents=True)
    labels, inputs = read_examples(paths)
    num_pairs = min(count_pairs(len(labels), settings), _MAX_PAIRS)
    pairs = np.array(sample_random_pairs(labels, num_pairs, settings.seed)).T
    with tf.io.TFRecordWriter(str(folder / "pairs.gz"), "GZIP") as writer:
        for left, right, same in pairs.tolist():
            sides = {"left": inputs[left], "right": inputs[right]}
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in sides.items()
            }
            features["same"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[same]))
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return len(pairs)
