"""Metrics of a night, as Prometheus reads them."""

import datetime
import http.client
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from diptych.pipeline.nightly.metrics import build_registry, write_metrics
from diptych.pipeline.nightly.night import end_night
from diptych.pipeline.nightly.notify import (
    METRICS_FILE,
    RUN_HISTORY,
    append_to_history,
    send_metrics,
)
from diptych.schemas.config.config import Config
from diptych.schemas.night import Night, NightMetrics

STARTED = datetime.datetime(2026, 11, 21, 2, 0, tzinfo=datetime.UTC)
ENDED = STARTED + datetime.timedelta(minutes=90)


@pytest.fixture
def night():
    metrics = NightMetrics(
        rejected=0.25, accuracy=0.9, production_accuracy=0.85, baseline_accuracy=0.7
    )
    running = Night(pipeline="toy", run="night-2026-11-21", outcome="running", started=STARTED)
    return end_night(running, "pushed", ended=ENDED, version="1763778845", metrics=metrics)


def read(root):
    """Return the values of the only pipeline, keyed by metric name."""
    families = text_string_to_metric_families((root / METRICS_FILE).read_text())
    samples = [sample for family in families for sample in family.samples]
    assert all(sample.labels == {"pipeline": "toy"} for sample in samples)
    return {sample.name.removeprefix("diptych_nightly_"): sample.value for sample in samples}


def test_metrics_of_a_night_have_base_units(night, tmp_path):
    append_to_history(night, tmp_path)
    assert read(tmp_path) == {
        "last_success_timestamp_seconds": ENDED.timestamp(),
        "last_run_timestamp_seconds": ENDED.timestamp(),
        "last_exit_code": 0,
        "duration_seconds": 5400,
        "rejected_ratio": 0.25,
        "accuracy": 0.9,
        "production_accuracy": 0.85,
        "baseline_accuracy": 0.7,
        "pushed_version": 1763778845,
    }
    assert {path.name for path in tmp_path.iterdir()} == {RUN_HISTORY, METRICS_FILE}


def test_a_failed_night_does_not_change_the_last_success(night, tmp_path):
    append_to_history(night, tmp_path)
    with (tmp_path / RUN_HISTORY).open("a") as file:
        file.write('{"cut": \n')
    started = STARTED + datetime.timedelta(days=1)
    failed = Night(pipeline="toy", run="n", outcome="running", started=started)
    ended = started + datetime.timedelta(seconds=7)
    append_to_history(end_night(failed, "failed", error="no luck", ended=ended), tmp_path)
    assert read(tmp_path) == {
        "last_success_timestamp_seconds": ENDED.timestamp(),
        "last_run_timestamp_seconds": ended.timestamp(),
        "last_exit_code": 1,
        "duration_seconds": 7,
    }


@pytest.mark.parametrize("outcome", ["not blessed", "nothing new"])
def test_a_night_without_a_better_model_is_a_success_and_keeps_the_version(
    night, tmp_path, outcome
):
    serving = tmp_path / "serving" / "17"
    night = end_night(night, outcome, ended=ENDED, version=None, production=serving)
    append_to_history(night, tmp_path)
    metrics = read(tmp_path)
    assert metrics["last_success_timestamp_seconds"] == ENDED.timestamp()
    assert metrics["pushed_version"] == 17


def test_the_last_success_is_0_before_the_first_success(night, tmp_path):
    append_to_history(end_night(night, "failed"), tmp_path)
    assert read(tmp_path)["last_success_timestamp_seconds"] == 0


class Gateway(BaseHTTPRequestHandler):
    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.request = (self.path, body)
        self.send_response(self.server.status)
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def gateway():
    server = HTTPServer(("127.0.0.1", 0), Gateway)
    server.status = http.client.OK
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def config(gateway):
    data = {"kind": "images", "path": "data"}
    return Config(name="toy", data=data, nightly={"pushgateway": gateway})


def test_the_pushgateway_receives_the_content_of_the_file(night, tmp_path, gateway):
    registry = append_to_history(night, tmp_path)
    assert send_metrics(registry, config(f"http://127.0.0.1:{gateway.server_port}")) is None
    path, body = gateway.request
    assert path == "/metrics/job/diptych_nightly/pipeline/toy"
    assert body == (tmp_path / METRICS_FILE).read_bytes()


def test_a_pushgateway_that_rejects_or_is_unreachable_is_reported_in_one_line(
    night, tmp_path, gateway, capsys
):
    registry = build_registry(night, last_success=0)
    write_metrics(registry, tmp_path / METRICS_FILE)
    gateway.status = http.client.BAD_REQUEST
    rejected = send_metrics(registry, config(f"127.0.0.1:{gateway.server_port}"))
    unreachable = send_metrics(registry, config("127.0.0.1:1"))
    assert rejected.startswith("The Pushgateway did not accept the metrics: HTTP Error 400")
    assert "refused" in unreachable
