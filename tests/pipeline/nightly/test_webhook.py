"""The webhook, with a local server that accepts, rejects, recovers or redirects."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from diptych.pipeline.nightly.webhook import WEBHOOK_VARIABLE, post_summary, webhook_url
from diptych.schemas.config.config import Config
from diptych.schemas.errors import ConfigError

SECRET = "s3cret"
QUICK = 0.01  # backoff factor in seconds


class Hook(BaseHTTPRequestHandler):
    """Respond with the next of the server's statuses."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.statuses.pop(0))
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.requests, server.statuses = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_summary_is_posted_as_json(hook):
    hook.statuses = [200]
    assert post_summary(hook.url, '{"outcome": "pushed"}') is None
    assert hook.requests == [(f"/{SECRET}", "application/json", b'{"outcome": "pushed"}')]


@pytest.mark.parametrize("statuses", [[503, 204], [500, 429, 201]])
def test_a_server_that_recovers_receives_the_summary(hook, statuses):
    hook.statuses = [*statuses]
    assert post_summary(hook.url, "{}", QUICK) is None
    assert len(hook.requests) == len(statuses)


@pytest.mark.parametrize(
    ("statuses", "times", "status"),
    [([500] * 9, 3, 500), ([404] * 9, 1, 404), ([302] * 9, 1, 302)],
)
def test_a_rejected_summary_is_reported_without_the_secret(hook, statuses, times, status, caplog):
    caplog.set_level("DEBUG")
    hook.statuses = statuses
    problem = post_summary(hook.url, "{}", QUICK)
    assert problem == f"The webhook at 127.0.0.1 did not receive the summary: status {status}."
    assert len(hook.requests) == times
    assert SECRET not in caplog.text


def test_an_unreachable_server_is_reported_without_the_secret(caplog):
    caplog.set_level("DEBUG")
    problem = post_summary(f"http://127.0.0.1:1/{SECRET}", "{}", QUICK)
    assert problem == "The webhook at 127.0.0.1 did not receive the summary: ConnectionError."
    assert SECRET not in caplog.text


def config(webhook=None):
    data = {"kind": "images", "path": "data"}
    return Config(name="toy", data=data, nightly={"webhook": webhook})


def test_the_environment_overrides_the_configuration(monkeypatch):
    monkeypatch.delenv(WEBHOOK_VARIABLE, raising=False)
    assert webhook_url(config()) is None
    assert webhook_url(config("https://a.example/x")) == "https://a.example/x"
    monkeypatch.setenv(WEBHOOK_VARIABLE, "https://b.example/y")
    assert webhook_url(config("https://a.example/x")) == "https://b.example/y"


@pytest.mark.parametrize("url", ["file:///etc/s3cret", "ftp://host/s3cret", "s3cret", "https://"])
def test_other_addresses_are_rejected_without_revealing_them(url, monkeypatch):
    monkeypatch.setenv(WEBHOOK_VARIABLE, url)
    with pytest.raises(ConfigError, match="must begin with http") as caught:
        webhook_url(config())
    assert SECRET not in str(caught.value)


def test_a_night_is_posted_and_a_failing_webhook_does_not_change_its_outcome(
    hook, toy, run_night, monkeypatch
):
    monkeypatch.setenv(WEBHOOK_VARIABLE, hook.url)
    hook.statuses = [200, 400, 200, 200]
    code, _, shown = run_night(until="ExampleGen")
    assert (code, hook.requests) == (0, [])
    code, summary, shown = run_night()
    assert (code, shown.count("Warning")) == (0, 0)
    assert f'"run":"{summary["run"]}","outcome":"pushed"'.encode() in hook.requests[0][2]
    code, _, shown = run_night()
    assert (code, len(hook.requests)) == (0, 2)
    assert "Warning: The webhook at 127.0.0.1 did not receive the summary: status 400." in shown
    assert SECRET not in shown
    toy["end"] = "failed"
    assert run_night("train.epochs=3", until="Trainer")[0] == 1
    assert b"no luck" in hook.requests[2][2]
