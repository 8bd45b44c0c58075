"""The Trainer step: pair shards and the preprocessing graph to a model that takes raw inputs."""

# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.
import hashlib
import json
import logging
import shutil
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from diptych.schemas.artifacts import PairSet, TrainingLog
from diptych.schemas.config.model import Model
from diptych.schemas.config.train import Train
from diptych.schemas.input_spec import Inputs
from diptych.schemas.shards import Manifest

_PROGRESS = logging.getLogger("diptych.progress")


@component
def Trainer(
    pairs: InputArtifact[PairSet],
    transform_graph: InputArtifact[standard_artifacts.TransformGraph],
    model: OutputArtifact[standard_artifacts.Model],
    training_log: OutputArtifact[TrainingLog],
    model_settings: Parameter[str],
    train_settings: Parameter[str],
    inputs: Parameter[str],
    production: Parameter[str],
    code_hash: Parameter[str],
) -> None:
    """Trains on the training split, stops and sets the threshold on the calibration split.

    ``production`` is what ``warm_start: pushed`` starts from: a version, or a folder of them.
    """
    from diptych.components.trainer.export import export_model
    from diptych.components.trainer.launch import train_anywhere
    from diptych.components.trainer.learning_curves import TensorBoard, write_curves
    from diptych.components.trainer.network import build_network
    from diptych.components.trainer.pair_evaluator import JudgedPairs
    from diptych.components.trainer.threshold import check_target
    from diptych.components.trainer.warm_start import start_settled

    settings = start_settled(Train.model_validate_json(train_settings), Path(production))
    architecture = Model.model_validate_json(model_settings)
    raw = Inputs.model_validate_json(inputs)
    calibration = Path(pairs.uri) / "Split-calibration"
    check_target(settings.calibrate_for, Manifest.read(calibration).num_different)
    folder = Path(training_log.uri)
    # Beside the outputs of all runs, so that a run that was cut off is gone on with in the next.
    trained_with = settings.model_dump_json(exclude={"calibrate_for"})  # which comes after it
    what = (pairs.uri, model_settings, trained_with, inputs, code_hash)
    digest = hashlib.blake2b(json.dumps(what).encode(), digest_size=8).hexdigest()
    storage = folder.parents[1] / "unfinished" / digest
    weights, curves = train_anywhere(
        Path(pairs.uri), architecture, settings, storage, TensorBoard(folder).write
    )
    best = write_curves(folder, curves)
    _PROGRESS.info("best after epoch %d, of %d", best.epoch, len(curves))
    training_log.set_int_custom_property("epochs", len(curves))
    training_log.set_int_custom_property("best_epoch", best.epoch)

    network = build_network(architecture, raw.shape)
    network.set_weights(weights)
    threshold = JudgedPairs(calibration).threshold(network, settings.calibrate_for)
    model.set_string_custom_property("threshold", json.dumps(threshold))
    serving = Path(path_utils.serving_model_dir(model.uri))
    beside = serving.with_name(serving.name + ".part")
    shutil.rmtree(beside, ignore_errors=True)
    export_model(network, Path(transform_graph.uri), raw, threshold, beside)
    beside.rename(serving)
