"""TFX component SpanDrift."""
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

from diptych.schemas.config.validation import ValidationConfig
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import InputSpec

_LOG = logging.getLogger("diptych")
_PROGRESS = logging.getLogger("diptych.progress")
_MAX_LISTED = 5  # drifts in a message; the artifact has all of them
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
    """Compare the newest span with the previous span and with the rest of the window.

    Args:
      examples: Raw examples of all spans, which their property ``spans`` lists.
      anomalies: TFDV's anomalies with all drifts, as split ``newest``. The custom property
        ``summary`` is the largest drift, or the reason why nothing was compared.
      settings: ``ValidationConfig`` as JSON.
      inputs: ``InputSpec`` as JSON.
      code_hash: Hash of the step's code; a new hash invalidates the cache.
      beam_pipeline: Provided by TFX.

    Raises:
      DataError: If a drift exceeds its threshold, and ``drift`` is "stop".
    """
    del code_hash
    from tensorflow_metadata.proto.v0 import anomalies_pb2

    from diptych.components.span_drift.drift_distance import (
        compute_drift_anomalies,
        list_feature_drifts,
    )
    from diptych.components.span_drift.sampling import max_sample_size
    from diptych.components.span_drift.transforms import WriteSample, read_sample

    validation = ValidationConfig.model_validate_json(settings)
    input_spec = InputSpec.model_validate_json(inputs)
    listed = json.loads(examples.get_string_custom_property("spans"))
    spans = [span["name"] for span in listed]
    split_folder = Path(anomalies.uri) / f"Split-{_SPLIT}"
    split_folder.mkdir(parents=True, exist_ok=True)
    anomalies.split_names = artifact_utils.encode_split_names([_SPLIT])
    result: anomalies_pb2.Anomalies | str = "it is the only one"
    if len(spans) > 1:
        sample = split_folder.parent / "sample.arrow"
        splits = artifact_utils.decode_split_names(examples.split_names)
        files = sorted(
            str(file)
            for split in splits
            for file in Path(artifact_utils.get_split_uri([examples], split)).glob("[!._]*")
        )
        with beam_pipeline as pipeline:
            pipeline | beam.Create(files) | WriteSample(input_spec, spans, sample)
        result = compute_drift_anomalies(
            read_sample(sample),
            max_sample_size(input_spec),
            validation.max_label_drift,
            validation.max_value_drift,
        )
        sample.unlink()
    content = anomalies_pb2.Anomalies() if isinstance(result, str) else result
    (split_folder / "SchemaDiff.pb").write_bytes(content.SerializeToString())
    drifts = list_feature_drifts(content)
    if drifts:
        label = "drifted" if drifts[0].exceeds_threshold else "largest drift"
        summary = f"{label}: {drifts[0]}"
    else:
        summary = f"not compared: {result}"
    anomalies.set_string_custom_property("summary", f"{spans[-1]}, {summary}")
    _PROGRESS.info("span %s, %s", spans[-1], summary)
    excessive = [drift for drift in drifts if drift.exceeds_threshold]
    if not excessive:
        return
    more = f"; and {len(excessive) - _MAX_LISTED} more" if excessive[_MAX_LISTED:] else ""
    listing = "; ".join(str(drift) for drift in excessive[:_MAX_LISTED]) + more
    if validation.drift == "stop":
        raise DataError(
            f"The newest span, {spans[-1]}, has drifted: {listing}. Check its data. If they are "
            "correct, raise validation.max_label_drift or max_value_drift, or set "
            "validation.drift to warn."
        )
    _LOG.warning("The newest span, %s, has drifted: %s.", spans[-1], listing)
