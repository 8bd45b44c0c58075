"""The Evaluator step: metrics, a report, and the blessing."""

# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.
import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils, path_utils

from diptych.schemas.artifacts import DataReportArtifact, Evaluation, PairSet
from diptych.schemas.blessing import BlessingDetails
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.config.train import parse_threshold_criterion
from diptych.schemas.data_report import read_leaked_ids
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.shards import SPLITS, read_split_pairs


@component
def Evaluator(
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    data_report: InputArtifact[DataReportArtifact],
    pairs: InputArtifact[PairSet],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    evaluation: OutputArtifact[Evaluation],
    settings: Parameter[str],
    inputs: Parameter[str],
    serving: Parameter[str],
    rolled_back: Parameter[str],
    split_settings: Parameter[str],
    threshold_criterion: Parameter[str],
    pair_list: Parameter[str],
    code_hash: Parameter[str],
) -> None:
    """Evaluate the exported model on the raw examples of the test split.

    It is compared with the model in production, the newest version in the folder ``serving`` that
    is not the candidate itself, and with the no-learning baseline. Both models get the same raw
    pairs and use their own preprocessing and threshold, as in production.

    ``rolled_back`` names the versions that were rolled back: after a rollback, another version is
    in production, and the comparison must not come from the cache.
    """
    from diptych.components.common.exported_model import ExportedModel
    from diptych.components.common.production import find_production_model
    from diptych.components.evaluator.evaluation_files import write_evaluation_files
    from diptych.components.evaluator.evaluation_report import build_evaluation_report
    from diptych.components.evaluator.given_pairs import evaluate_given_pairs
    from diptych.components.evaluator.label_error_files import find_and_write_label_errors
    from diptych.components.evaluator.labelled_examples import RawSplit
    from diptych.components.evaluator.leaks import measure_leaked_pairs
    from diptych.components.evaluator.pair_list_source import PairListSource
    from diptych.components.evaluator.raw_distance import compute_raw_distance_metrics
    from diptych.components.evaluator.raw_split import RawTestSplit, load_production_model
    from diptych.components.evaluator.requirements import main_metrics
    from diptych.components.evaluator.tables import write_evaluation_tables

    raw_splits = {
        name: RawSplit(
            files=_list_files(artifact_utils.get_split_uri([examples], name)),
            num_examples=examples.get_int_custom_property(f"num_{name}"),
            held_out=name != "train",
        )
        for name in SPLITS
    }
    test_split = RawTestSplit(
        files=list(raw_splits["test"].files),
        inputs=InputSpec.model_validate_json(inputs),
        pairs=read_split_pairs(Path(pairs.uri) / "Split-test"),
        train_folder=Path(pairs.uri) / "Split-train",
    )
    config = EvaluateConfig.model_validate_json(settings)
    candidate_path = Path(path_utils.serving_model_path(model.uri))
    production_path = find_production_model(Path(serving), candidate_path)
    production, note = load_production_model(production_path, test_split.inputs, split_settings)
    candidate = ExportedModel(candidate_path)
    predictions = test_split.predict(candidate)
    folder = Path(evaluation.uri)
    folder.mkdir(parents=True, exist_ok=True)
    label_errors = (
        None  # given pairs have no labels
        if test_split.inputs.paired
        else find_and_write_label_errors(folder, raw_splits, test_split.inputs, candidate)
    )
    given_pairs = (
        evaluate_given_pairs(
            *(folder, PairListSource.model_validate_json(pair_list), raw_splits),
            *(test_split.inputs, candidate, config),
        )
        if pair_list
        else None
    )
    report = build_evaluation_report(
        predictions,
        None if production is None else test_split.predict(production),
        compute_raw_distance_metrics(
            *(predictions, test_split.pairs, Path(pairs.uri)),
            *(parse_threshold_criterion(threshold_criterion), config),
        ),
        test_split.compute_metrics(predictions, candidate, config),
        measure_leaked_pairs(test_split.pairs, read_leaked_ids(Path(data_report.uri))),
        config,
        label_errors=label_errors,
        given_pairs=given_pairs,
        are_pairs_given=test_split.inputs.paired,
        split_by=json.loads(split_settings)["split.by"],
        notes=(note,) if note else (),
    )
    reconstructions = test_split.reconstruct_sample(candidate) if candidate.has_decoder else None
    write_evaluation_tables(folder, predictions, test_split.pairs, test_split.render_thumbnails)
    write_evaluation_files(folder, report, reconstructions)
    metrics = main_metrics(report.all)
    metrics["baseline_accuracy"] = report.raw_distance.comparison.accuracy
    evaluation.set_float_custom_property("accuracy", metrics["accuracy"])
    evaluation.set_int_custom_property("blessed", int(report.blessed))
    evaluation.set_string_custom_property("reason", report.reason)

    # Read by Pusher and by TFX's resolver of the latest blessed model.
    blessing.set_int_custom_property("blessed", int(report.blessed))
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    if production_path is not None:
        blessing.set_string_custom_property("production_model", str(production_path))
    data = {
        "examples": examples.uri,
        "span": examples.span,
        "spans": json.loads(examples.get_string_custom_property("spans") or "[]"),
        "fingerprint": examples.get_string_custom_property("fingerprint"),
        **{f"num_{name}": examples.get_int_custom_property(f"num_{name}") for name in SPLITS},
    }
    details = BlessingDetails(metrics=metrics, data=data)
    for name, text in details.to_properties().items():
        blessing.set_string_custom_property(name, text)
    file_name = "BLESSED" if report.blessed else "NOT_BLESSED"
    io_utils.write_string_file(str(Path(blessing.uri) / file_name), "")


def _list_files(folder: str) -> list[str]:
    return [str(file) for file in sorted(Path(folder).iterdir())]
