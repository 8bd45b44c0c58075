import json
import logging
from pathlib import Path

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_metadata.proto.v0 import anomalies_pb2
from tfx.types import artifact_utils, standard_artifacts

from diptych.components.span_drift.component import SpanDrift
from diptych.schemas.config.validation import ValidationConfig
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column, InputSpec

INPUTS = InputSpec(kind="vector", columns=(Column(name="a"),))


@pytest.fixture
def run_span_drift(tmp_path, write_records):
    """Run the step on spans, each given by its mean, in two files."""

    def run(means, **settings):
        generator = np.random.default_rng(5)
        rows = [
            {
                "id": [b"%032x" % generator.integers(2**60)],
                "label": [b"ant"],
                "source": [b"%d/t.csv:%d" % (span, row)],
                "a": [float(generator.normal(mean))],
            }
            for span, mean in enumerate(means)
            for row in range(100)
        ]
        examples, anomalies = standard_artifacts.Examples(), standard_artifacts.ExampleAnomalies()
        examples.uri, anomalies.uri = str(tmp_path / "in"), str(tmp_path / "out")
        examples.split_names = artifact_utils.encode_split_names(["train", "test"])
        spans = [{"name": str(span), "version": None} for span in range(len(means))]
        examples.set_string_custom_property("spans", json.dumps(spans))
        for number, split in enumerate(("train", "test")):
            write_records(tmp_path / "in" / f"Split-{split}" / "data.gz", rows[number::2])
        SpanDrift.test_call(
            examples=examples,
            anomalies=anomalies,
            settings=ValidationConfig(**settings).model_dump_json(),
            inputs=INPUTS.model_dump_json(),
            code_hash="",
            beam_pipeline=beam.Pipeline(runner=FnApiRunner()),
        )
        return anomalies

    return run


def read_anomalies(anomalies):
    """Read TFDV's file, at the path of a standard artifact."""
    assert artifact_utils.decode_split_names(anomalies.split_names) == ["newest"]
    path = Path(artifact_utils.get_split_uri([anomalies], "newest"))
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    return anomalies_pb2.Anomalies.FromString((path / "SchemaDiff.pb").read_bytes())


def test_a_single_span_is_not_compared(run_span_drift):
    anomalies = run_span_drift([0], drift="stop")
    summary = anomalies.get_string_custom_property("summary")
    assert summary == "0, not compared: it is the only one"
    assert read_anomalies(anomalies) == anomalies_pb2.Anomalies()


def test_drift_gives_a_warning_and_anomalies(run_span_drift, caplog):
    with caplog.at_level(logging.WARNING, "diptych"):
        anomalies = run_span_drift([0, 0, 9])
    (message,) = caplog.messages
    assert message.startswith("The newest span, 2, has drifted: a, Jensen-Shannon divergence")
    assert "from the previous span" in message and "from the rest of the window" in message
    content = read_anomalies(anomalies)
    assert set(content.anomaly_info) == {"a"}
    measured = {
        info.path.step[0]: info.drift_measurements[0].type for info in content.drift_skew_info
    }
    kinds = anomalies_pb2.DriftSkewInfo.Measurement
    assert measured == {"a": kinds.JENSEN_SHANNON_DIVERGENCE, "label": kinds.L_INFTY}
    summary = anomalies.get_string_custom_property("summary")
    assert summary.startswith("2, drifted: a, Jensen-Shannon divergence")


def test_drift_stops_the_run_if_so_configured(run_span_drift):
    with pytest.raises(DataError, match=r"newest span, 1, has drifted: .* \(at most 0\.5\).*warn"):
        run_span_drift([0, 9], drift="stop", max_value_drift=0.5)


def test_a_newest_span_without_drift_passes(run_span_drift, caplog):
    with caplog.at_level(logging.WARNING, "diptych"):
        anomalies = run_span_drift([0, 9, 0, 0], drift="stop")
    assert not caplog.messages
    assert "3, largest drift: a, " in anomalies.get_string_custom_property("summary")
