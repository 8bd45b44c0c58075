"""``diptych init``: a commented CONFIG.yaml, its data section filled from a look at the data."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic
import yaml

from diptych.components.example_gen.profile import Look, look_at_data
from diptych.schemas.config.beam import Beam
from diptych.schemas.config.data import ImageFolder, PairTable, Table, TFRecords
from diptych.schemas.config.evaluate import Evaluate
from diptych.schemas.config.model import Model
from diptych.schemas.config.nightly import Nightly
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.config.push import Push
from diptych.schemas.config.split import Split
from diptych.schemas.config.train import Train
from diptych.schemas.config.tune import Tune
from diptych.schemas.config.validation import Validation
from diptych.schemas.errors import ConfigError

_SECTIONS: dict[str, type[pydantic.BaseModel]] = {
    "split": Split,
    "validation": Validation,
    "pairs": Pairs,
    "model": Model,
    "train": Train,
    "evaluate": Evaluate,
    "push": Push,
    "beam": Beam,
    "nightly": Nightly,
    "tune": Tune,
}
_KINDS: dict[str, type[pydantic.BaseModel]] = {
    "images": ImageFolder,
    "table": Table,
    "pairs": PairTable,
    "tfrecord": TFRecords,
}

_ABOUT = {
    "data": "The raw data. Relative paths start from the folder of this file.",
    "split": "Shares of the examples. An example never moves to another split when data are added.",
    "validation": "What is done about what TensorFlow Data Validation finds.",
    "pairs": "Batches of P classes with K examples of each; every pair in a batch can be used.",
    "model": "The encoder and its embedding.",
    "train": "The training on Ray.",
    "evaluate": "When a model is good enough.",
    "push": "Where good models go.",
    "beam": "The engine that runs ExampleGen, StatisticsGen, Transform and PairGen.",
    "nightly": "When the pipeline runs by itself, and what is kept of its runs.",
    "tune": "What diptych tune varies.",
}

_COMMENTS = {
    "data": {
        "kind": "images, table, pairs or tfrecord",
        "path": "",
        "window": "of a path with spans, as span-{YYYY}-{MM}-{DD}: the newest so many; null: all",
        "size": "height, width after resizing",
        "channels": "1 grey, 3 colour",
        "max_bytes": "of a file; larger ones are set aside unread",
        "max_pixels": "height x width; checked in the header, before decoding",
        "max_rejected": "share of unusable rows or images above which the run stops",
        "label": "the class of each row",
        "columns": "of the vector: names, a prefix such as v*, a number; null: all numeric ones",
        "id": "a column with a unique key; null: ids come from the content",
        "group": "writer, patient; for split.by: group",
        "same": "the column that says whether the two are alike",
        "same_value": "its value that means alike",
        "left": "columns of one side: names, a prefix such as left_*, or how many",
        "right": "columns of the other side, as many",
        "image": "the feature with the encoded image, or",
        "vector": "the feature with the numbers",
    },
    "split": {
        "by": "example; class: test classes are never seen in training (one-shot); group",
        "train": "",
        "calibration": "early stopping and the threshold",
        "test": "the accuracy that is reported",
        "seed": "another seed, another split",
    },
    "validation": {
        "anomalies": "stop or warn",
        "schema_file": "a schema.pbtxt to hold the data to; null: inferred",
        "drift": "of the newest span from those before: stop, warn or off",
        "max_label_drift": "0 to 1: the largest change of the share of a label",
        "max_value_drift": "0 to 1: Jensen-Shannon divergence of each column",
    },
    "pairs": {
        "classes_per_batch": "P",
        "examples_per_class": "K",
        "ratio": "same:different, exact in every batch",
        "policy": "oversample, undersample, natural or inverse_frequency (weights)",
        "max_repeats": "passes over a class in a round, under oversample",
        "rounds": "passes over the examples, each with its own pairs",
        "evaluation_policy": "of the calibration and test splits",
        "evaluation_rounds": "",
        "difficulty": "random; confusable: similar classes share batches",
        "num_shards": "a multiple of train.num_workers",
        "seed": "",
    },
    "model": {
        "encoder": "mlp, cnn_small, cnn, a Keras Application, module:function; null: by the input",
        "embedding_size": "",
        "normalize": "embeddings of length 1",
        "distance": "euclidean, squared_euclidean, manhattan, cosine or learned_l1; null: by loss",
        "loss": "contrastive, triplet, cosine_embedding, circle, multi_similarity, "
        "supervised_contrastive, binary_cross_entropy",
        "decoder": "{weight: 1.0}: a variational autoencoder trained along; null: none",
    },
    "train": {
        "epochs": "at most",
        "patience": "epochs without a better calibration loss",
        "batches_per_step": "P x K batches in a step, shared out to the workers",
        "optimizer": "by Keras's name: adam, adamw, sgd, rmsprop, lion",
        "learning_rate": "",
        "schedule": "cosine or constant",
        "warmup_epochs": "the learning rate rises from 0 meanwhile",
        "clip_norm": "of all gradients together; null: not clipped",
        "ema": "momentum of averaged weights, such as 0.99; null: none",
        "precision": "float32, mixed_float16 or mixed_bfloat16",
        "weights": "shards: those of the pairs; inverse_frequency: with policy natural alone",
        "augmentation": "new views; of: all, repeated (what oversampling repeats) or none",
        "calibrate_for": "best_accuracy, equal_error_rate or {false_accept_rate: 0.01}",
        "warm_start": "a pushed model, or pushed: this pipeline's newest; null: from scratch",
        "checkpoint_steps": "null: at the end of each epoch",
        "max_failures": "workers lost before the training gives up",
        "num_workers": "0: in this process, without Ray",
        "cpus_per_worker": "null: the machine's, shared out",
        "gpus_per_worker": "null: one, if the machines have so many",
        "resources_timeout_s": "what a cluster lacks is waited for",
        "ray_address": "of a cluster; null: RAY_ADDRESS, or a local Ray",
        "seed": "",
    },
    "evaluate": {
        "threshold": "a fixed distance to judge at; the calibrated one is judged too",
        "false_accept_rates": "at which the true accept rate is told",
        "few_shot": "N-way k-shot episodes, of every size",
        "bars": "to reach at the calibrated threshold; equal_error_rate: at most; also "
        "tar_at_far: {0.01: 0.9}",
        "max_drop": "accuracy that may be lost against the model in production, on the same pairs",
        "bootstrap": "resamples of the 95 % intervals",
        "seed": "",
    },
    "push": {"path": "null: serving/ in the root of the runs"},
    "beam": {
        "runner": "local, flink, dataflow or spark",
        "options": "of Beam, such as {flink_master: 127.0.0.1:8081, parallelism: 4}",
    },
    "nightly": {
        "schedule": "cron: minute, hour, day of the month, month, day of the week",
        "timezone": "such as Europe/Berlin",
        "retries": "of a step, by an orchestrator",
        "resources": "by step, such as {default: {cpus: 2, memory: 8Gi}, Trainer: {gpus: 1}}",
        "keep_runs": "the newest, with their artifacts",
        "keep_versions": "of the pushed model; never the one in production",
        "webhook": "a URL that is sent the summary of each night",
        "pushgateway": "of Prometheus, such as http://pushgateway:9091",
    },
    "tune": {
        "trials": "",
        "grace_epochs": "before a trial that falls behind the best third is stopped",
        "gpus_per_trial": "where there are GPUs; 0.5: two trials share one",
        "seed": "another seed, other values",
        "space": "such as {train.learning_rate: {log_uniform: [0.0001, 0.01]}}; also choice, "
        "uniform, int_uniform",
    },
}

_OTHER_KINDS = """\
# Other kinds of data, instead of the section above:
#
# data:                        # CSV or Parquet: a label column, the rest is the vector
#   kind: table
#   path: measurements.csv     # a file, a folder, or a pattern such as data/*.parquet
#   label: species
#
# data:                        # CSV or Parquet that is paired already
#   kind: pairs
#   path: pairs.parquet
#   same: same                 # 1: alike, 0: different
#   left: left_*
#   right: right_*
#
# data:                        # TFRecord files of tf.Example
#   kind: tfrecord
#   path: records/
#   label: label
#   image: image_raw           # or vector: embedding
"""


def write_config(data_path: Path | None, out: Path) -> str:
    """Writes a commented configuration.

    Args:
      data_path: data to look at; None: a template for a folder of images.
      out: the file to write.

    Returns:
      The text; ``schemas.config.load_config`` reads it as it is.

    Raises:
      ConfigError: ``out`` exists, or there are no data of a known kind at ``data_path``.
      DataError: the data cannot be read.
    """
    if out.exists():
        raise ConfigError(f"{out} exists already. Remove it, or write to another file.")
    if data_path is None:
        look = Look({"kind": "images", "path": "data"}, {}, ["Put one folder per class in there."])
        text = _text("my-pairs", look, _OTHER_KINDS)
    else:
        look = look_at_data(data_path)
        text = _text(_name(data_path), _relative(look, out), "")
    out.parent.mkdir(parents=True, exist_ok=True)
    # "x": never over a file that came since.
    with out.open("x", encoding="utf-8") as file:
        file.write(text)
    return text


def _text(name: str, look: Look, after_data: str) -> str:
    lines = ["# Diptych: see the documentation of each key in diptych/schemas/config.", ""]
    lines += [_line("name", name, "of the pipeline; lower case"), "", f"# {_ABOUT['data']}"]
    lines += [f"# {note}" for note in look.notes]
    lines.append("data:")
    kind = _KINDS[look.data["kind"]]
    lines += _keys(kind, look.data, "data")
    if after_data:
        lines += ["", after_data.rstrip()]
    for section, model in _SECTIONS.items():
        lines += ["", f"# {_ABOUT[section]}", f"{section}:"]
        lines += _keys(model, look.settings.get(section, {}), section)
    return "\n".join(lines) + "\n"


def _keys(model: type[pydantic.BaseModel], chosen: Mapping[str, Any], section: str) -> list[str]:
    lines = []
    for key, field in model.model_fields.items():
        value = chosen.get(key, field.default)
        lines.append("  " + _line(key, value, _COMMENTS[section].get(key, "")))
    return lines


def _line(key: str, value: object, comment: str) -> str:
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, pydantic.BaseModel):
        value = value.model_dump(mode="json")
    text = yaml.safe_dump(
        value, default_flow_style=True, allow_unicode=True, width=10**9, sort_keys=False
    )
    line = f"{key}: {text.removesuffix('...' + chr(10)).strip()}"
    return f"{line:<34}  # {comment}" if comment else line


def _name(path: Path) -> str:
    stem = path.stem if path.stem.strip("*") else path.parent.name
    name = re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")
    return name[:63] or "my-pairs"


def _relative(look: Look, out: Path) -> Look:
    """The path as seen from the file, where the data lie beside or below it."""
    path, folder = Path(look.data["path"]).absolute(), out.absolute().parent
    shown = path.relative_to(folder) if path.is_relative_to(folder) else path
    return Look({**look.data, "path": shown.as_posix()}, look.settings, look.notes)
