"""What Prometheus reads, in its own words."""

import datetime
import http.client
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from prometheus_client.parser import text_string_to_metric_families

from diptych.pipeline.nightly.metrics import metrics_of, write_metrics
from diptych.pipeline.nightly.night import Figures, Night
from diptych.pipeline.nightly.notify import DIARY, METRICS, keep, send_metrics
from diptych.schemas.config.config import Config

BEGAN = datetime.datetime(2026, 11, 21, 2, 0, tzinfo=datetime.UTC)
ENDED = BEGAN + datetime.timedelta(minutes=90)


@pytest.fixture
def night():
    figures = Figures(rejected=0.25, accuracy=0.9, production_accuracy=0.85)
    running = Night(pipeline="toy", run="night-2026-11-21", outcome="running", started=BEGAN)
    return running.end("pushed", ended=ENDED, version="1763778845", figures=figures)


def read(root):
    """Values by name, of the one pipeline."""
    families = text_string_to_metric_families((root / METRICS).read_text())
    samples = [sample for family in families for sample in family.samples]
    assert all(sample.labels == {"pipeline": "toy"} for sample in samples)
    return {sample.name.removeprefix("diptych_nightly_"): sample.value for sample in samples}


def test_a_night_is_told_in_seconds_shares_and_numbers(night, tmp_path):
    keep(night, tmp_path)
    assert read(tmp_path) == {
        "last_success_timestamp_seconds": ENDED.timestamp(),
        "last_run_timestamp_seconds": ENDED.timestamp(),
        "last_exit_code": 0,
        "duration_seconds": 5400,
        "rejected_ratio": 0.25,
        "accuracy": 0.9,
        "production_accuracy": 0.85,
        "pushed_version": 1763778845,
    }
    assert {path.name for path in tmp_path.iterdir()} == {DIARY, METRICS}


def test_a_failed_night_leaves_the_last_success_as_it_was(night, tmp_path):
    keep(night, tmp_path)
    with (tmp_path / DIARY).open("a") as file:
        file.write('{"cut": \n')
    began = BEGAN + datetime.timedelta(days=1)
    failed = Night(pipeline="toy", run="n", outcome="running", started=began)
    ended = began + datetime.timedelta(seconds=7)
    keep(failed.end("failed", error="no luck", ended=ended), tmp_path)
    assert read(tmp_path) == {
        "last_success_timestamp_seconds": ENDED.timestamp(),
        "last_run_timestamp_seconds": ended.timestamp(),
        "last_exit_code": 1,
        "duration_seconds": 7,
    }


@pytest.mark.parametrize("outcome", ["not blessed", "nothing new"])
def test_a_night_without_a_better_model_is_a_success_with_the_version_that_stays(
    night, tmp_path, outcome
):
    serving = tmp_path / "serving" / "17"
    keep(night.end(outcome, ended=ENDED, version=None, production=serving), tmp_path)
    told = read(tmp_path)
    assert told["last_success_timestamp_seconds"] == ENDED.timestamp()
    assert told["pushed_version"] == 17


def test_of_a_pipeline_that_never_worked_the_last_success_is_at_0(night, tmp_path):
    keep(night.end("failed"), tmp_path)
    assert read(tmp_path)["last_success_timestamp_seconds"] == 0


class Gateway(BaseHTTPRequestHandler):
    def do_PUT(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got = (self.path, body)
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


def test_the_pushgateway_is_sent_what_the_file_holds(night, tmp_path, gateway, capsys):
    registry = keep(night, tmp_path)
    send_metrics(registry, config(f"http://127.0.0.1:{gateway.server_port}"))
    path, body = gateway.got
    assert path == "/metrics/job/diptych_nightly/pipeline/toy"
    assert body == (tmp_path / METRICS).read_bytes()
    assert capsys.readouterr().err == ""


def test_a_pushgateway_that_refuses_or_is_not_there_is_told_in_a_line(
    night, tmp_path, gateway, capsys
):
    registry = metrics_of(night, last_success=0)
    write_metrics(registry, tmp_path / METRICS)
    gateway.status = http.client.BAD_REQUEST
    send_metrics(registry, config(f"127.0.0.1:{gateway.server_port}"))
    send_metrics(registry, config("127.0.0.1:1"))
    refused, absent = capsys.readouterr().err.splitlines()
    assert refused.startswith("Warning: the Pushgateway has not taken the metrics: HTTP Error 400")
    assert "refused" in absent
