"""Complement TFX's SchemaGen and ExampleValidator: curate the schema, and stop on anomalies."""

# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.
import logging
from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils

from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import ID, IMAGE, LABEL, LEFT_ID, RIGHT_ID, RIGHT_IMAGE, SOURCE

_SCHEMA_FILE = "schema.pbtxt"
_MAX_ANOMALIES_SHOWN = 5  # in a message; the artifact has all of them


def drop_identity_domains(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    """Return a copy of the schema without closed domains of labels, ids and sources.

    SchemaGen infers an enumeration for every string feature with few values. A new class, or a
    class that occurs only in the test split, would then be an anomaly, but a Siamese model is meant
    for new classes.
    """
    curated = schema_pb2.Schema()
    curated.CopyFrom(schema)
    dropped = set()
    for feature in curated.feature:
        if feature.name in (IMAGE, RIGHT_IMAGE, LABEL, ID, SOURCE, LEFT_ID, RIGHT_ID):
            if feature.WhichOneof("domain_info") == "domain":
                dropped.add(feature.domain)
            feature.ClearField("domain")
            feature.ClearField("string_domain")
    kept = [domain for domain in curated.string_domain if domain.name not in dropped]
    del curated.string_domain[:]
    curated.string_domain.extend(kept)
    return curated


def describe_anomalies(anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """Describe each anomaly in one line: feature and problem."""
    lines = [
        f"{feature}: {info.description or info.short_description}"
        for feature, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        lines.append(f"data set: {anomalies.dataset_anomaly_info.description}")
    if anomalies.data_missing:
        lines.append("data set: no examples")
    return lines


@component
def SchemaCurator(
    inferred: InputArtifact[standard_artifacts.Schema],
    schema: OutputArtifact[standard_artifacts.Schema],
    code_hash: Parameter[str],
) -> None:
    """Remove closed domains of labels, ids and sources from the inferred schema."""
    source = schema_pb2.Schema()
    io_utils.parse_pbtxt_file(str(Path(inferred.uri) / _SCHEMA_FILE), source)
    io_utils.write_pbtxt_file(str(Path(schema.uri) / _SCHEMA_FILE), drop_identity_domains(source))


@component
def AnomalyGate(
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    action: Parameter[str],
    code_hash: Parameter[str],
) -> None:
    """Stop the run on anomalies, or warn. ExampleValidator itself never fails.

    Raises:
      DataError: If a split has an anomaly and ``action`` is "stop".
    """
    lines = []
    for split in artifact_utils.decode_split_names(anomalies.split_names):
        split_anomalies = anomalies_pb2.Anomalies()
        file = Path(anomalies.uri) / f"Split-{split}" / "SchemaDiff.pb"
        split_anomalies.ParseFromString(file.read_bytes())
        lines += [f"{split} split, {line}" for line in describe_anomalies(split_anomalies)]
    if not lines:
        return
    shown = "; ".join(lines[:_MAX_ANOMALIES_SHOWN]) + (
        f"; and {len(lines) - _MAX_ANOMALIES_SHOWN} more" if lines[_MAX_ANOMALIES_SHOWN:] else ""
    )
    if action == "stop":
        raise DataError(
            f"The data do not match the schema: {shown}. Correct the data or the schema "
            "(validation.schema_file), or set validation.anomalies to warn."
        )
    logging.getLogger("diptych").warning("Anomalies in the data: %s.", shown)
