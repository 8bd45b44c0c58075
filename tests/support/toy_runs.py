"""A pipeline of TFX that records in ML Metadata what Diptych's own does, in a second.

Its steps have the names, parameters and artifact types of ours, but write down what they are told.
"""

# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing, PushedModel
from toy_evaluation import toy_evaluation

from diptych.pipeline.runners.local import run_locally
from diptych.schemas.artifacts import Balance, Evaluation, PairSet, Rejected, TrainingLog
from diptych.schemas.balance import SplitBalance
from diptych.schemas.evaluation import PAIRS
from diptych.schemas.shards import SPLITS, InputShape, Manifest


@component
def ToyExamples(
    examples: OutputArtifact[Examples],
    rejected: OutputArtifact[Rejected],
    data: Parameter[str],
    fingerprint: Parameter[str],
) -> None:
    rejected.set_int_custom_property("num_read", 40)
    rejected.set_int_custom_property("num_rejected", 3)


@component
def ToyPairs(
    examples: InputArtifact[Examples],
    pairs: OutputArtifact[PairSet],
    balance: OutputArtifact[Balance],
    settings: Parameter[str],
) -> None:
    pairs.set_string_custom_property("difficulty", "random")
    for split in SPLITS:
        folder = Path(pairs.uri) / f"Split-{split}"
        folder.mkdir()
        Manifest(
            input=InputShape(kind="vector", shape=(3,)),
            num_shards=1,
            num_batches=1,
            num_examples=20,
            num_placed=20,
            num_classes=2,
            num_singletons=0,
            num_same=10,
            num_different=10,
            num_triplets=10,
            batches_per_shard=(1,),
        ).write(folder)
        SplitBalance(
            split=split,
            policy="natural",
            rounds=1,
            num_examples=20,
            num_given_pairs=None,
            num_same=json.loads(settings)["rounds"] * 10,
            num_different=10,
            different_per_same=1.0,
            repeats_mean=1.0,
            repeats_max=1,
            coverage=1.0,
            num_uncovered=0,
            classes=None,
            notes=(),
        ).write(Path(balance.uri))


@component
def ToyTrainer(
    pairs: InputArtifact[PairSet],
    model: OutputArtifact[Model],
    training_log: OutputArtifact[TrainingLog],
    train_settings: Parameter[str],
    code_hash: Parameter[str],
    end: Parameter[str],
) -> None:
    (Path(model.uri) / f"left_by_{end}").touch()
    if end == "failed":
        raise ValueError("no luck")
    if end == "interrupted":  # TFX tells ML Metadata nothing of it, as when it is killed
        raise KeyboardInterrupt
    line = {"epoch": 1, "loss": 0.5, "calibration_loss": 0.4, "calibration_accuracy": 0.9}
    curves = {"best_epoch": 1, "epochs": [{**line, "seconds": 2.0}]}
    (Path(training_log.uri) / "curves.json").write_text(json.dumps(curves))


@component
def ToyEvaluator(
    model: InputArtifact[Model],
    pairs: InputArtifact[PairSet],
    blessing: OutputArtifact[ModelBlessing],
    evaluation: OutputArtifact[Evaluation],
    settings: Parameter[str],
) -> None:
    told = json.loads(settings)
    figures = toy_evaluation(told["accuracy"], classes=told["classes"])
    figures.write(Path(evaluation.uri))
    columns = [[bytes([0] * 15 + [number]) for number in told[side]] for side in ("left", "right")]
    table = pa.table([*columns, [1, 0, 1, 0], told["distance"]], schema=PAIRS)
    pq.write_table(table, Path(evaluation.uri) / "pairs.parquet")
    evaluation.set_float_custom_property("accuracy", told["accuracy"])
    evaluation.set_int_custom_property("blessed", int(figures.blessed))
    blessing.set_int_custom_property("blessed", int(figures.blessed))
    blessing.set_int_custom_property("current_model_id", model.id)


@component
def ToyPusher(
    model: InputArtifact[Model],
    blessing: InputArtifact[ModelBlessing],
    pushed_model: OutputArtifact[PushedModel],
    serving: Parameter[str],
) -> None:
    blessed = blessing.get_int_custom_property("blessed")
    pushed_model.set_int_custom_property("pushed", blessed)
    if blessed:
        version = Path(serving) / str(1000 + blessing.id)
        version.mkdir(parents=True)
        (version / "saved_model.pb").touch()
        pushed_model.set_string_custom_property("pushed_destination", str(version))


def toy_pipeline(root, pipeline="toy", end="", **told):
    """The pipeline; ``told`` are the settings, and the figures to write down.

    Its Trainer fails or is interrupted if ``end`` says so.
    """
    told = {
        **{"fingerprint": "f1", "rounds": 1, "learning_rate": 0.1, "code": "c1"},
        **{"accuracy": 0.9, "classes": {}, "distance": [0.1, 0.9, 0.9, 0.1]},
        **{"left": [1, 1, 2, 2], "right": [2, 3, 4, 3]},
        **told,
    }
    examples = ToyExamples(
        data=json.dumps({"kind": "table", "path": "toy.csv"}), fingerprint=told["fingerprint"]
    ).with_id("ExampleGen")
    pairs = ToyPairs(
        examples=examples.outputs["examples"], settings=json.dumps({"rounds": told["rounds"]})
    ).with_id("PairGen")
    trainer = ToyTrainer(
        pairs=pairs.outputs["pairs"],
        train_settings=json.dumps({"learning_rate": told["learning_rate"], "seed": 0}),
        code_hash=told["code"],
        end=end,
    ).with_id("Trainer")
    judged = ("accuracy", "classes", "distance", "left", "right")
    evaluator = ToyEvaluator(
        model=trainer.outputs["model"],
        pairs=pairs.outputs["pairs"],
        settings=json.dumps({key: told[key] for key in judged}),
    ).with_id("Evaluator")
    pusher = ToyPusher(
        model=trainer.outputs["model"],
        blessing=evaluator.outputs["blessing"],
        serving=str(root / "serving"),
    ).with_id("Pusher")
    return Pipeline(
        pipeline_name=pipeline,
        pipeline_root=str(root / "artifacts"),
        metadata_connection_config=sqlite_metadata_connection_config(str(root / "metadata.sqlite")),
        components=[examples, pairs, trainer, evaluator, pusher],
        enable_cache=True,
    )


def run_toy(root, name, last=None, **options):
    """Runs it under a name; ``options`` are those of ``toy_pipeline``.

    Returns:
      The steps that were launched.

    Raises:
      What it is to end with.
    """
    launched = []
    pipeline = toy_pipeline(root, **options)
    run_locally(pipeline, name, launched.append, lambda step, outcome: None, last)
    return launched
