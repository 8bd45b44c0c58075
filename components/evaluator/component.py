"""The Evaluator step: figures, a report, and the blessing."""

# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils, path_utils

from diptych.components.evaluator.metrics import Judged
from diptych.schemas.artifacts import Evaluation, PairSet
from diptych.schemas.evaluate import Evaluate
from diptych.schemas.inputs import Inputs
from diptych.schemas.shards import read_split_pairs


@component
def Evaluator(
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    pairs: InputArtifact[PairSet],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    evaluation: OutputArtifact[Evaluation],
    settings: Parameter[str],
    inputs: Parameter[str],
    code_hash: Parameter[str],
    baseline_model: InputArtifact[standard_artifacts.Model] = None,
) -> None:
    """Judges the exported model on the raw examples of the test split.

    Both models see the same pairs in raw form, each through its own preprocessing and at its own
    threshold, as they would in production.
    """
    from diptych.components.evaluator.judging import judge_pairs, reconstruct_some
    from diptych.components.evaluator.report import evaluate, write_evaluation
    from diptych.components.exported import ExportedModel

    rules = Evaluate.model_validate_json(settings)
    raw = Inputs.model_validate_json(inputs)
    split = read_split_pairs(Path(pairs.uri) / "Split-test")
    folder = Path(artifact_utils.get_split_uri([examples], "test"))
    files = [str(file) for file in sorted(folder.iterdir())]

    def exported(artifact: standard_artifacts.Model) -> ExportedModel:
        return ExportedModel(Path(path_utils.serving_model_path(artifact.uri)))

    def judged(one: ExportedModel) -> tuple[Judged, float]:
        return judge_pairs(one, files, raw, split), one.threshold

    new_model = exported(model)
    candidate, threshold = judged(new_model)
    baseline = judged(exported(baseline_model)) if baseline_model is not None else None
    figures, verdict = evaluate(candidate, threshold, baseline, split, rules, raw.paired)
    reconstructions = reconstruct_some(new_model, files, raw) if new_model.has_decoder else None
    write_evaluation(Path(evaluation.uri), figures, candidate, split, reconstructions)
    evaluation.set_float_custom_property("accuracy", figures["calibrated"]["accuracy"])
    evaluation.set_int_custom_property("blessed", int(verdict.blessed))
    evaluation.set_string_custom_property("reason", verdict.reason)

    # What Pusher and the search for the latest blessed model read.
    blessing.set_int_custom_property("blessed", int(verdict.blessed))
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    if baseline_model is not None:
        blessing.set_string_custom_property("baseline_model", baseline_model.uri)
        blessing.set_int_custom_property("baseline_model_id", baseline_model.id)
    name = "BLESSED" if verdict.blessed else "NOT_BLESSED"
    io_utils.write_string_file(str(Path(blessing.uri) / name), "")
