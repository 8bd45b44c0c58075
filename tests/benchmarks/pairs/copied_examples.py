"""(e) A tf.Example for each pair, with copies of both inputs. Some pairs only: it takes long."""

from pathlib import Path

import numpy as np
from benchmarks.pairs.python_loop import draw, pairs_wanted, read

from diptych.schemas.config.pairs import Pairs

_PAIRS_AT_MOST = 100_000


def run(paths: list[str], folder: Path, settings: Pairs, width: int) -> int:
    """Draws and writes the pairs; returns how many."""
    import tensorflow as tf

    del width
    folder.mkdir(parents=True)
    labels, inputs = read(paths)
    wanted = min(pairs_wanted(len(labels), settings), _PAIRS_AT_MOST)
    drawn = np.array(draw(labels, wanted, settings.seed)).T
    with tf.io.TFRecordWriter(str(folder / "pairs.gz"), "GZIP") as writer:
        for left, right, same in drawn.tolist():
            sides = {"left": inputs[left], "right": inputs[right]}
            features = {
                name: tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
                for name, value in sides.items()
            }
            features["same"] = tf.train.Feature(int64_list=tf.train.Int64List(value=[same]))
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    return len(drawn)
