"""Around TFX's SchemaGen and ExampleValidator: a schema for identity, and a gate for anomalies."""

# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.
import logging
from pathlib import Path

from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2
from tfx.dsl.component.experimental.annotations import InputArtifact, OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts
from tfx.utils import io_utils

from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import ID, IMAGE, LABEL, LEFT_ID, RIGHT_ID, SOURCE

_SCHEMA_FILE = "schema.pbtxt"
_SHOWN = 5  # anomalies named in a message; all of them are in the artifact


def without_domains(schema: schema_pb2.Schema) -> schema_pb2.Schema:
    """The inferred schema, without closed sets of labels, ids and paths.

    SchemaGen takes every string feature with few values for an enumeration, and would call a new
    class, or a class that only the test split holds, an anomaly. New classes are what a Siamese
    model is for.
    """
    curated = schema_pb2.Schema()
    curated.CopyFrom(schema)
    dropped = set()
    for feature in curated.feature:
        if feature.name in (IMAGE, LABEL, ID, SOURCE, LEFT_ID, RIGHT_ID):
            if feature.WhichOneof("domain_info") == "domain":
                dropped.add(feature.domain)
            feature.ClearField("domain")
            feature.ClearField("string_domain")
    kept = [domain for domain in curated.string_domain if domain.name not in dropped]
    del curated.string_domain[:]
    curated.string_domain.extend(kept)
    return curated


def describe_anomalies(anomalies: anomalies_pb2.Anomalies) -> list[str]:
    """One line for each anomaly: feature, and what is wrong with it."""
    lines = [
        f"{feature}: {info.description or info.short_description}"
        for feature, info in sorted(anomalies.anomaly_info.items())
    ]
    if anomalies.HasField("dataset_anomaly_info"):
        lines.append(f"data set: {anomalies.dataset_anomaly_info.description}")
    if anomalies.data_missing:
        lines.append("data set: there are no examples")
    return lines


@component
def SchemaCurator(
    inferred: InputArtifact[standard_artifacts.Schema],
    schema: OutputArtifact[standard_artifacts.Schema],
    code_hash: Parameter[str],
) -> None:
    """Opens the inferred schema to labels, ids and paths that were not seen yet."""
    source = schema_pb2.Schema()
    io_utils.parse_pbtxt_file(str(Path(inferred.uri) / _SCHEMA_FILE), source)
    io_utils.write_pbtxt_file(str(Path(schema.uri) / _SCHEMA_FILE), without_domains(source))


@component
def AnomalyGate(
    anomalies: InputArtifact[standard_artifacts.ExampleAnomalies],
    action: Parameter[str],
    code_hash: Parameter[str],
) -> None:
    """Stops the run at an anomaly, or warns. ExampleValidator itself never fails.

    Raises:
      DataError: a split has an anomaly and ``action`` is "stop".
    """
    lines = []
    for split in artifact_utils.decode_split_names(anomalies.split_names):
        found = anomalies_pb2.Anomalies()
        file = Path(anomalies.uri) / f"Split-{split}" / "SchemaDiff.pb"
        found.ParseFromString(file.read_bytes())
        lines += [f"{split} split, {line}" for line in describe_anomalies(found)]
    if not lines:
        return
    shown = "; ".join(lines[:_SHOWN]) + (
        f"; and {len(lines) - _SHOWN} more" if lines[_SHOWN:] else ""
    )
    if action == "stop":
        raise DataError(
            f"The data do not fit the schema: {shown}. Mend the data or the schema "
            "(validation.schema_file), or set validation.anomalies to warn."
        )
    logging.getLogger("diptych").warning("Anomalies in the data: %s.", shown)
