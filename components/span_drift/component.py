"""SpanDrift, the TFX component."""
# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.

import json
import logging
from pathlib import Path

import apache_beam as beam
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from diptych.schemas.config.validation import Validation
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Inputs

_log = logging.getLogger("diptych")
_PROGRESS = logging.getLogger("diptych.progress")
_SHOWN = 5  # distances in a message; all of them are in the artifact
_SPLIT = "newest"


@component(use_beam=True)
def SpanDrift(
    examples: InputArtifact[standard_artifacts.Examples],
    anomalies: OutputArtifact[standard_artifacts.ExampleAnomalies],
    settings: Parameter[str],
    inputs: Parameter[str],
    code_hash: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Compares the newest span with the one before it, and with the rest of the window.

    Args:
      examples: raw ones, of all spans, which their property ``spans`` lists.
      anomalies: TFDV's, with each distance, as of a split ``newest``. Custom property ``said``:
        the farthest, or why nothing was compared, in words.
      settings: ``config.Validation`` as JSON.
      inputs: ``inputs.Inputs`` as JSON.
      code_hash: of our code; a new one runs the step anew.
      beam_pipeline: given by TFX.

    Raises:
      DataError: a distance is above its threshold, and ``drift`` is "stop".
    """
    del code_hash
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    from diptych.components.span_drift.drift_distance import compare, distances
    from diptych.components.span_drift.sampling import sample_size
    from diptych.components.span_drift.transforms import WriteSample, read_sample

    rules, raw = Validation.model_validate_json(settings), Inputs.model_validate_json(inputs)
    told = json.loads(examples.get_string_custom_property("spans"))
    spans = [span["name"] for span in told]
    target = Path(anomalies.uri) / f"Split-{_SPLIT}"
    target.mkdir(parents=True, exist_ok=True)
    anomalies.split_names = artifact_utils.encode_split_names([_SPLIT])
    found = "it is the only one"
    if len(spans) > 1:
        sample = target.parent / "sample.arrow"
        folders = artifact_utils.decode_split_names(examples.split_names)
        files = sorted(
            str(file)
            for split in folders
            for file in Path(artifact_utils.get_split_uri([examples], split)).glob("[!._]*")
        )
        with beam_pipeline as pipeline:
            pipeline | beam.Create(files) | WriteSample(raw, spans, sample)
        found = compare(
            read_sample(sample), sample_size(raw), rules.max_label_drift, rules.max_value_drift
        )
        sample.unlink()
    content = anomalies_pb2.Anomalies() if isinstance(found, str) else found
    (target / "SchemaDiff.pb").write_bytes(content.SerializeToString())
    far = distances(content)
    said = f"not compared: {found}"
    if far:
        said = f"{'unlike others' if far[0].too_far else 'farthest'}: {far[0]}"
    anomalies.set_string_custom_property("said", f"{spans[-1]}, {said}")
    _PROGRESS.info("span %s, %s", spans[-1], said)
    far = [distance for distance in far if distance.too_far]
    if not far:
        return
    more = f"; and {len(far) - _SHOWN} more" if far[_SHOWN:] else ""
    shown = "; ".join(str(distance) for distance in far[:_SHOWN]) + more
    if rules.drift == "stop":
        raise DataError(
            f"The newest span, {spans[-1]}, is unlike others: {shown}. Look at its data; if they "
            "are right, raise validation.max_label_drift or max_value_drift, or set "
            "validation.drift to warn."
        )
    _log.warning("The newest span, %s, is unlike others: %s.", spans[-1], shown)
