"""Trainer component: turn pair shards and the preprocessing graph into a servable model."""

# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.
import hashlib
import json
import logging
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import standard_artifacts
from tfx.utils import path_utils

from diptych.schemas.artifacts import PairSet, TrainingLog
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.files import atomic_folder
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.learning_curves import LearningCurves
from diptych.schemas.shards import SplitManifest

_progress = logging.getLogger("diptych.progress")


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
    """Train on the training split; stop early and calibrate the threshold on calibration.

    ``production`` is the model that ``warm_start: pushed`` starts from: a version, or a folder of
    versions.
    """
    from diptych.components.common.threshold import check_threshold_criterion
    from diptych.components.trainer.export import export_model
    from diptych.components.trainer.launch import run_training
    from diptych.components.trainer.learning_curves import TensorBoardWriter
    from diptych.components.trainer.network import build_network
    from diptych.components.trainer.pair_evaluator import PairEvaluator
    from diptych.components.trainer.warm_start import resolve_warm_start

    settings = resolve_warm_start(TrainConfig.model_validate_json(train_settings), Path(production))
    model_config = ModelConfig.model_validate_json(model_settings)
    input_spec = InputSpec.model_validate_json(inputs)
    calibration_split = Path(pairs.uri) / "Split-calibration"
    num_negative = SplitManifest.read(calibration_split).num_negative
    check_threshold_criterion(settings.threshold_criterion, num_negative)
    log_folder = Path(training_log.uri)
    # Outside of the outputs of this run, so that the next run resumes an interrupted training. The
    # threshold is chosen after training, so its criterion does not affect the checkpoints.
    resumable_settings = settings.model_dump_json(exclude={"threshold_criterion"})
    identity = (pairs.uri, model_settings, resumable_settings, inputs, code_hash)
    digest = hashlib.blake2b(json.dumps(identity).encode(), digest_size=8).hexdigest()
    weights, epochs = run_training(
        Path(pairs.uri),
        model_config,
        settings,
        log_folder.parents[1] / "checkpoints" / digest,
        TensorBoardWriter(log_folder).write,
    )
    curves = LearningCurves.from_epochs(epochs)
    curves.write(log_folder)
    _progress.info("best epoch: %d of %d", curves.best_epoch, len(epochs))
    training_log.set_int_custom_property("epochs", len(epochs))
    training_log.set_int_custom_property("best_epoch", curves.best_epoch)

    network = build_network(model_config, input_spec.shape)
    network.set_weights(weights)
    threshold = PairEvaluator(calibration_split).threshold(network, settings.threshold_criterion)
    model.set_string_custom_property("threshold", json.dumps(threshold))
    with atomic_folder(Path(path_utils.serving_model_dir(model.uri))) as tmp_path:
        export_model(network, Path(transform_graph.uri), input_spec, threshold, tmp_path)
