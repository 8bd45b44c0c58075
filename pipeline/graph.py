"""The pipeline graph: all steps and the artifacts that connect them.

A runner only decides where the steps run.
"""

import json
from pathlib import Path
from typing import Any

from tfx.components.example_validator.component import ExampleValidator
from tfx.components.pusher.component import Pusher
from tfx.components.schema_gen.component import SchemaGen
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.components.statistics_gen.component import StatisticsGen
from tfx.dsl.components.base.base_node import BaseNode
from tfx.dsl.components.base.executor_spec import ExecutorClassSpec
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import pusher_pb2

from diptych.components.class_centroids.component import ClassCentroids
from diptych.components.common.split_settings import describe_other_splits, dump_split_settings
from diptych.components.evaluator.component import Evaluator
from diptych.components.evaluator.pair_list_source import inspect_pair_list
from diptych.components.example_gen.component import ExampleGen
from diptych.components.example_gen.spans import has_spans
from diptych.components.pair_gen.component import PairGen
from diptych.components.pusher.component import AtomicPusher
from diptych.components.span_drift.component import SpanDrift
from diptych.components.trainer.component import Trainer
from diptych.components.trainer.warm_start import resolve_warm_start
from diptych.components.transform.step import Transform
from diptych.components.validation.component import AnomalyGate, SchemaCurator
from diptych.pipeline.caching import code_of, code_of_trainer
from diptych.pipeline.engines import beam_args, thread_args
from diptych.pipeline.workspace import serving_folder
from diptych.schemas.config.config import Config
from diptych.schemas.config.model import Application, Cnn, CnnSmall
from diptych.schemas.config.train import PUSHED_MODEL, TrainConfig, dump_threshold_criterion
from diptych.schemas.errors import ConfigError
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.versions import list_rolled_back


def build_pipeline(config: Config, inputs: InputSpec, root: Path, production: Path) -> Pipeline:
    """Build the pipeline, with the steps in the order of the data.

    It has no Resolver, which the open-source Kubeflow Pipelines cannot run: steps find the results
    of earlier runs in the folder of pushed models.

    Args:
      config: Configuration; each step receives its own section.
      inputs: Contents of a raw example, inferred from the data.
      root: Pipeline root, with metadata, artifacts and pushed models.
      production: Model for similar classes and a warm start. Either the version in production at
        the start of the run, or the folder of versions, whose newest version the steps use when
        they run; a pipeline that is compiled once for many runs needs the folder.

    Raises:
      ConfigError: If the model to start from or the module of the custom encoder is missing, the
        model to start from was trained on other splits of the data, Beam has no such option, the
        encoder needs images and the data are vectors, or the file of ``evaluate.pairs`` is missing.
      DataError: If the file of ``evaluate.pairs`` cannot be used.
    """
    if inputs.kind == "vector" and isinstance(config.model.encoder, CnnSmall | Cnn | Application):
        raise ConfigError(
            f"model.encoder {config.model.encoder.name} needs images, but the data are vectors: "
            "use mlp."
        )
    serving = serving_folder(config, root)
    split_settings = dump_split_settings(config.data, config.split)
    _check_start_splits(config.train, production, split_settings)
    inputs_json = inputs.model_dump_json()
    example_gen = ExampleGen(
        data=config.data,
        split=config.split,
        inputs=inputs,
        code_hash=code_of("example_gen"),
    )
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples)
    statistics = statistics_gen.outputs["statistics"]
    schema_steps: list[BaseNode] = []
    if config.validation.schema_file is None:
        schema_gen = SchemaGen(statistics=statistics, infer_feature_shape=True)
        curator = SchemaCurator(
            inferred=schema_gen.outputs["schema"],
            code_hash=code_of("validation"),
        )
        schema_steps += [schema_gen, curator]
    else:
        schema_steps.append(ImportSchemaGen(schema_file=config.validation.schema_file))
    schema = schema_steps[-1].outputs["schema"]
    validator = ExampleValidator(statistics=statistics, schema=schema)
    gate = AnomalyGate(
        anomalies=validator.outputs["anomalies"],
        action=config.validation.anomalies,
        code_hash=code_of("validation"),
    )
    transform = Transform(
        examples=examples,
        schema=schema,
        preprocessing_fn="diptych.components.transform.component.preprocessing_fn",
        custom_config={
            "inputs": inputs_json,
            "code_hash": code_of("transform"),
        },
        disable_statistics=True,  # StatisticsGen computes them; without, the fixed cost halves
        disable_analyzer_cache=True,
    )
    transform.add_upstream_node(gate)
    drift_steps: list[BaseNode] = []
    if has_spans(config.data.path) and config.validation.drift != "off":
        span_drift = SpanDrift(
            examples=examples,
            settings=config.validation.model_dump_json(),
            inputs=inputs_json,
            code_hash=code_of("span_drift"),
        )
        transform.add_upstream_node(span_drift)
        drift_steps = [span_drift]
    similar_steps: list[BaseNode] = []
    similar_classes = {}
    if config.pairs.negatives == "similar_classes":
        class_centroids = ClassCentroids(
            examples=examples,
            production=str(production),
            inputs=inputs_json,
            code_hash=code_of("class_centroids"),
        )
        class_centroids.add_upstream_node(gate)
        similar_steps = [class_centroids]
        similar_classes = {"class_centroids": class_centroids.outputs["centroids"]}
    pair_gen = PairGen(
        transformed_examples=transform.outputs["transformed_examples"],
        **similar_classes,
        settings=config.pairs.model_dump_json(),
        inputs=inputs_json,
        code_hash=code_of("pair_gen"),
    ).with_beam_pipeline_args(thread_args(config.beam))
    trainer = Trainer(
        pairs=pair_gen.outputs["pairs"],
        transform_graph=transform.outputs["transform_graph"],
        model_settings=config.model.model_dump_json(),
        train_settings=_resolve_start_version(config.train).model_dump_json(),
        inputs=inputs_json,
        production=str(production) if config.train.warm_start == PUSHED_MODEL else "",
        code_hash=code_of_trainer(config),
    )
    evaluator = Evaluator(
        model=trainer.outputs["model"],
        examples=examples,
        data_report=example_gen.outputs["data_report"],
        pairs=pair_gen.outputs["pairs"],
        settings=config.evaluate.model_dump_json(),
        inputs=inputs_json,
        serving=str(serving),
        rolled_back=json.dumps([path.name for path in list_rolled_back(serving)]),
        split_settings=split_settings,
        threshold_criterion=dump_threshold_criterion(config.train.threshold_criterion),
        pair_list=_inspect_pair_list(config, inputs),
        code_hash=code_of("evaluator"),
    )
    pusher = Pusher(
        model=trainer.outputs["model"],
        model_blessing=evaluator.outputs["blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=str(serving))
        ),
        custom_config={"name": config.name, "configuration": _model_sections(config)},
        custom_executor_spec=ExecutorClassSpec(AtomicPusher),
    )
    return Pipeline(
        pipeline_name=config.name,
        pipeline_root=str(root / "artifacts"),
        metadata_connection_config=sqlite_metadata_connection_config(str(root / "metadata.sqlite")),
        components=[
            example_gen,
            statistics_gen,
            *schema_steps,
            validator,
            gate,
            *drift_steps,
            transform,
            *similar_steps,
            pair_gen,
            trainer,
            evaluator,
            pusher,
        ],
        enable_cache=True,
        beam_pipeline_args=beam_args(config.beam),
    )


def _inspect_pair_list(config: Config, inputs: InputSpec) -> str:
    """Check ``evaluate.pairs`` and return its description for the Evaluator; empty if not set."""
    if config.evaluate.pairs is None:
        return ""
    return inspect_pair_list(config.evaluate.pairs, config.data, inputs).model_dump_json()


def _model_sections(config: Config) -> dict[str, Any]:
    """Return the sections that a model depends on, for its manifest.

    Without push, beam, tune, validation and nightly: a change of these must not re-run the Pusher.
    """
    sections = {"data", "split", "pairs", "model", "train", "evaluate"}
    return config.model_dump(mode="json", include=sections)


def _check_start_splits(train: TrainConfig, production: Path, split_settings: str) -> None:
    """Check that the model to start from was not trained on examples that now are test examples."""
    start = resolve_warm_start(train, production).warm_start
    difference = None if start is None else describe_other_splits(Path(start), split_settings)
    if difference is not None:
        raise ConfigError(
            f"train.warm_start: {start} was trained on other splits of the same data "
            f"({difference}). It may have been trained on test examples, so the metrics would be "
            "too good. Restore the setting, or remove train.warm_start until a model with the new "
            "splits is pushed."
        )


def _resolve_start_version(train: TrainConfig) -> TrainConfig:
    """Replace a folder of versions by its newest version, so that a newer one is a cache miss."""
    if train.warm_start == PUSHED_MODEL:
        return train
    return resolve_warm_start(train, Path())
