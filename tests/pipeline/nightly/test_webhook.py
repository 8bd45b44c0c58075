"""A real server on this machine, which takes, refuses, is slow to recover, or sends elsewhere."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from diptych.pipeline.nightly.webhook import VARIABLE, post, webhook_of
from diptych.schemas.config.config import Config
from diptych.schemas.errors import ConfigError

SECRET = "s3cret"
SOON = (0.01, 0.01)


class Hook(BaseHTTPRequestHandler):
    """Answers with the next of the server's statuses."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.path, self.headers["Content-Type"], body))
        self.send_response(self.server.statuses.pop(0))
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hook():
    server = HTTPServer(("127.0.0.1", 0), Hook)
    server.got, server.statuses = [], []
    server.url = f"http://127.0.0.1:{server.server_port}/{SECRET}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def test_the_summary_is_posted_as_json(hook):
    hook.statuses = [200]
    assert post(hook.url, '{"outcome": "pushed"}') is None
    assert hook.got == [(f"/{SECRET}", "application/json", b'{"outcome": "pushed"}')]


@pytest.mark.parametrize("statuses", [[503, 204], [500, 429, 201]])
def test_a_server_that_recovers_is_told(hook, statuses):
    hook.statuses = [*statuses]
    assert post(hook.url, "{}", SOON) is None
    assert len(hook.got) == len(statuses)


@pytest.mark.parametrize(
    ("statuses", "times", "status"),
    [([500] * 9, 3, 500), ([404] * 9, 1, 404), ([302] * 9, 1, 302)],
)
def test_a_server_that_does_not_take_it_is_named_without_the_secret(hook, statuses, times, status):
    hook.statuses = statuses
    said = post(hook.url, "{}", SOON)
    assert said == f"The webhook at 127.0.0.1 was not told: status {status}."
    assert len(hook.got) == times


def test_a_server_that_is_not_there_is_named_without_the_secret():
    said = post(f"http://127.0.0.1:1/{SECRET}", "{}", SOON)
    assert said == "The webhook at 127.0.0.1 was not told: ConnectionError."


def config(webhook=None):
    data = {"kind": "images", "path": "data"}
    return Config(name="toy", data=data, nightly={"webhook": webhook})


def test_the_environment_comes_before_the_configuration(monkeypatch):
    monkeypatch.delenv(VARIABLE, raising=False)
    assert webhook_of(config()) is None
    assert webhook_of(config("https://a.example/x")) == "https://a.example/x"
    monkeypatch.setenv(VARIABLE, "https://b.example/y")
    assert webhook_of(config("https://a.example/x")) == "https://b.example/y"


@pytest.mark.parametrize("url", ["file:///etc/s3cret", "ftp://host/s3cret", "s3cret", "https://"])
def test_other_addresses_are_refused_without_showing_them(url, monkeypatch):
    monkeypatch.setenv(VARIABLE, url)
    with pytest.raises(ConfigError, match="must begin with http") as caught:
        webhook_of(config())
    assert SECRET not in str(caught.value)


def test_a_night_is_told_and_a_webhook_that_fails_does_not_change_it(
    hook, toy, run_night, monkeypatch
):
    monkeypatch.setenv(VARIABLE, hook.url)
    hook.statuses = [200, 400, 200, 200]
    code, _, shown = run_night(until="ExampleGen")
    assert (code, hook.got) == (0, [])
    code, summary, shown = run_night()
    assert (code, shown.count("Warning")) == (0, 0)
    assert f'"run":"{summary["run"]}","outcome":"pushed"'.encode() in hook.got[0][2]
    code, _, shown = run_night()
    assert (code, len(hook.got)) == (0, 2)
    assert "Warning: The webhook at 127.0.0.1 was not told: status 400." in shown
    assert SECRET not in shown
    toy["end"] = "failed"
    assert run_night("train.epochs=3", until="Trainer")[0] == 1
    assert b"no luck" in hook.got[2][2]
