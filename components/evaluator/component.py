"""The Evaluator step: figures, a report, and the blessing."""

# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.
import json
from pathlib import Path

from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils, path_utils

from diptych.schemas.artifacts import Evaluation, PairSet
from diptych.schemas.config.evaluate import Evaluate
from diptych.schemas.input_spec import Inputs
from diptych.schemas.shards import SPLITS, read_split_pairs


@component
def Evaluator(
    model: InputArtifact[standard_artifacts.Model],
    examples: InputArtifact[standard_artifacts.Examples],
    pairs: InputArtifact[PairSet],
    blessing: OutputArtifact[standard_artifacts.ModelBlessing],
    evaluation: OutputArtifact[Evaluation],
    settings: Parameter[str],
    inputs: Parameter[str],
    serving: Parameter[str],
    code_hash: Parameter[str],
) -> None:
    """Judges the exported model on the raw examples of the test split.

    It is compared with the model in production: the newest version in the folder ``serving`` that
    is not the candidate itself. Both see the same pairs in raw form, each through its own
    preprocessing and at its own threshold, as they would in production.
    """
    from diptych.components.common.exported_model import ExportedModel
    from diptych.components.common.production import production_before
    from diptych.components.evaluator.evaluate import evaluate
    from diptych.components.evaluator.evaluation_files import write_evaluation
    from diptych.components.evaluator.raw_split import RawSplit, load_baseline
    from diptych.components.evaluator.requirements import figures_of
    from diptych.components.evaluator.tables import write_tables

    folder = Path(artifact_utils.get_split_uri([examples], "test"))
    test = RawSplit(
        files=[str(file) for file in sorted(folder.iterdir())],
        inputs=Inputs.model_validate_json(inputs),
        pairs=read_split_pairs(Path(pairs.uri) / "Split-test"),
        train=Path(pairs.uri) / "Split-train",
    )
    exported = Path(path_utils.serving_model_path(model.uri))
    before = production_before(Path(serving), exported)
    baseline, note = load_baseline(before, test.inputs)
    candidate = ExportedModel(exported)
    outcome = test.judge(candidate)
    rules = Evaluate.model_validate_json(settings)
    parts = test.parts(outcome, candidate, rules)
    figures = evaluate(
        outcome,
        None if baseline is None else test.judge(baseline),
        parts.slices,
        rules,
        classes=parts.classes,
        notes=(*([note] if note else ()), *parts.notes),
    )
    reconstructions = test.reconstruct_some(candidate) if candidate.has_decoder else None
    target = Path(evaluation.uri)
    target.mkdir(parents=True, exist_ok=True)
    write_tables(
        *(target, outcome.judged, outcome.threshold, outcome.embedding, test.pairs),
        pictures_of=test.pictures_of,
    )
    write_evaluation(target, figures, reconstructions)
    main_figures = figures_of(figures.all)
    evaluation.set_float_custom_property("accuracy", main_figures["accuracy"])
    evaluation.set_int_custom_property("blessed", int(figures.blessed))
    evaluation.set_string_custom_property("reason", figures.reason)

    # What Pusher reads, and by TFX's convention the search for the latest blessed model.
    blessing.set_int_custom_property("blessed", int(figures.blessed))
    blessing.set_string_custom_property("current_model", model.uri)
    blessing.set_int_custom_property("current_model_id", model.id)
    if before is not None:
        blessing.set_string_custom_property("baseline_model", str(before))
    # And for the manifest of the pushed model.
    data = {
        "examples": examples.uri,
        "span": examples.span,
        "spans": json.loads(examples.get_string_custom_property("spans") or "[]"),
        "fingerprint": examples.get_string_custom_property("fingerprint"),
        **{f"num_{name}": examples.get_int_custom_property(f"num_{name}") for name in SPLITS},
    }
    blessing.set_string_custom_property("figures", json.dumps(main_figures))
    blessing.set_string_custom_property("data", json.dumps(data))
    name = "BLESSED" if figures.blessed else "NOT_BLESSED"
    io_utils.write_string_file(str(Path(blessing.uri) / name), "")
