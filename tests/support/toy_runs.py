"""A TFX pipeline with the ML Metadata records of Diptych's pipeline, in a second.

The steps have the same names, parameters and artifact types, but only write given values.
"""

# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.
import json
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.types.standard_artifacts import Examples, Model, ModelBlessing, PushedModel
from toy_evaluation import toy_evaluation

from diptych.pipeline.runners.local import run_locally
from diptych.schemas.artifacts import (
    Balance,
    DataReportArtifact,
    Evaluation,
    PairSet,
    Rejected,
    TrainingLog,
)
from diptych.schemas.balance import SplitBalance
from diptych.schemas.data_report import DataReport
from diptych.schemas.evaluation import SCORED_PAIRS_SCHEMA
from diptych.schemas.learning_curves import EpochMetrics, LearningCurves
from diptych.schemas.rejected_rows import SUMMARY_FILE, IngestCounts, IngestSummary
from diptych.schemas.shards import SPLITS, InputShape, SplitManifest


@component
def ToyExamples(
    examples: OutputArtifact[Examples],
    rejected: OutputArtifact[Rejected],
    data_report: OutputArtifact[DataReportArtifact],
    data: Parameter[str],
    fingerprint: Parameter[str],
) -> None:
    rejected.set_int_custom_property("num_read", 40)
    rejected.set_int_custom_property("num_rejected", 3)
    counts = IngestCounts(num_read=40, num_rejected=3, num_examples=(20, 10, 7))
    summary = IngestSummary(spans={"": counts}, skipped_spans={})
    (Path(rejected.uri) / SUMMARY_FILE).write_text(summary.model_dump_json())
    DataReport(num_examples=(20, 10, 7)).write(Path(data_report.uri), np.empty((0, 16), np.uint8))


@component
def ToyPairs(
    examples: InputArtifact[Examples],
    pairs: OutputArtifact[PairSet],
    balance: OutputArtifact[Balance],
    settings: Parameter[str],
) -> None:
    pairs.set_string_custom_property("negatives", "random")
    for split in SPLITS:
        folder = Path(pairs.uri) / f"Split-{split}"
        folder.mkdir()
        SplitManifest(
            input=InputShape(kind="vector", shape=(3,)),
            num_shards=1,
            num_batches=1,
            num_examples=20,
            num_rows=20,
            num_classes=2,
            num_singletons=0,
            num_positive=10,
            num_negative=10,
            num_triplets=10,
            batches_per_shard=(1,),
        ).write(folder)
        SplitBalance(
            split=split,
            sampling="natural",
            rounds=1,
            num_examples=20,
            num_given_pairs=None,
            num_positive=json.loads(settings)["rounds"] * 10,
            num_negative=10,
            num_distinct_positive=30,
            negatives_per_positive=1.0,
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
    if end == "failed without folders":  # the cleanup of TFX expects the output folders
        shutil.rmtree(Path(model.uri).parent)
        raise ValueError("no luck")
    if end == "failed without metadata":  # TFX records the failure there
        shutil.move(Path(model.uri).parents[3] / "metadata.sqlite", model.uri)
        raise ValueError("no luck")
    if end == "interrupted":  # TFX records nothing in ML Metadata, as for a killed process
        raise KeyboardInterrupt
    metrics = EpochMetrics(
        epoch=1,
        loss=0.5,
        accuracy=0.9,
        calibration_loss=0.4,
        calibration_accuracy=0.9,
        examples_per_s=100.0,
        input_share=0.1,
        seconds=2.0,
    )
    LearningCurves.from_epochs([metrics]).write(Path(training_log.uri))


@component
def ToyEvaluator(
    model: InputArtifact[Model],
    pairs: InputArtifact[PairSet],
    blessing: OutputArtifact[ModelBlessing],
    evaluation: OutputArtifact[Evaluation],
    settings: Parameter[str],
) -> None:
    values = json.loads(settings)
    report = toy_evaluation(values["accuracy"], classes=values["classes"])
    report.write(Path(evaluation.uri))
    columns = [
        [bytes([0] * 15 + [number]) for number in values[side]] for side in ("left", "right")
    ]
    table = pa.table([*columns, [1, 0, 1, 0], values["distance"]], schema=SCORED_PAIRS_SCHEMA)
    pq.write_table(table, Path(evaluation.uri) / "pairs.parquet")
    evaluation.set_float_custom_property("accuracy", values["accuracy"])
    evaluation.set_int_custom_property("blessed", int(report.blessed))
    blessing.set_int_custom_property("blessed", int(report.blessed))
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


def toy_pipeline(root, pipeline="toy", end="", **values):
    """Build the pipeline; ``values`` are the settings and the metrics that it records.

    The Trainer raises an error if ``end`` starts with "failed", and is interrupted if
    "interrupted".
    """
    values = {
        **{"fingerprint": "f1", "rounds": 1, "learning_rate": 0.1, "code": "c1"},
        **{"accuracy": 0.9, "classes": {}, "distance": [0.1, 0.9, 0.9, 0.1]},
        **{"left": [1, 1, 2, 2], "right": [2, 3, 4, 3]},
        **values,
    }
    examples = ToyExamples(
        data=json.dumps({"kind": "table", "path": "toy.csv"}), fingerprint=values["fingerprint"]
    ).with_id("ExampleGen")
    pairs = ToyPairs(
        examples=examples.outputs["examples"], settings=json.dumps({"rounds": values["rounds"]})
    ).with_id("PairGen")
    trainer = ToyTrainer(
        pairs=pairs.outputs["pairs"],
        train_settings=json.dumps({"learning_rate": values["learning_rate"], "seed": 0}),
        code_hash=values["code"],
        end=end,
    ).with_id("Trainer")
    evaluated = ("accuracy", "classes", "distance", "left", "right")
    evaluator = ToyEvaluator(
        model=trainer.outputs["model"],
        pairs=pairs.outputs["pairs"],
        settings=json.dumps({key: values[key] for key in evaluated}),
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
    """Run the pipeline under a name; ``options`` are those of ``toy_pipeline``.

    Returns:
      The launched steps.

    Raises:
      ValueError: If ``end`` starts with "failed".
      KeyboardInterrupt: If ``end`` is "interrupted".
    """
    launched = []
    pipeline = toy_pipeline(root, **options)
    run_locally(pipeline, name, launched.append, lambda step, outcome: None, last)
    return launched
