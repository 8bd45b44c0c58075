import json
import shutil
import signal
import socket
import subprocess
import threading
import time

import httpx
import pytest
from processes import wait_until
from service_runs import (
    DIPTYCH,
    TOKEN,
    b64,
    child_processes,
    grey,
    push,
    running_service,
    start_time,
)

from diptych.schemas.manifest import ModelManifest, compute_digests

DARK, LIGHT = grey(51), grey(204)
IMAGES = {"left": DARK, "right": LIGHT}


def push_broken(versions, models, number, name, content, *, in_manifest):
    """Push a version with a changed file; ``in_manifest``: the manifest has its new digest."""
    tmp_path = models / f".pushing-{number}"
    shutil.copytree(versions / "2", tmp_path)
    original = compute_digests(tmp_path)
    (tmp_path / name).write_bytes(content)
    files = compute_digests(tmp_path) if in_manifest else original
    manifest = ModelManifest.read(tmp_path)
    manifest.model_copy(update={"version": number, "files": files}).write(tmp_path)
    tmp_path.rename(models / str(number))


class Clients:
    """Four clients that send requests without pause inside the context, for at most 4 minutes."""

    def __init__(self, service):
        self.verdicts, self.errors = [], []
        self._service, self._stop = service, threading.Event()
        self._threads = [threading.Thread(target=self._send_requests) for _ in range(4)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _send_requests(self):
        deadline = time.monotonic() + 240
        with self._service.client() as client:
            while not self._stop.is_set() and time.monotonic() < deadline:
                try:
                    answer = client.post("/compare", files=IMAGES)
                    content = answer.raise_for_status().json()
                    self.verdicts.append((content["version"], round(content["distance"], 4)))
                except Exception as error:
                    self.errors.append(repr(error))


def test_versions_change_without_a_failed_request(versions, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    push(versions, models, 1)
    with running_service(tmp_path, models) as service, service.client() as client:
        with Clients(service) as clients:
            wait_until(lambda: len(clients.verdicts) > 20, 30)
            push(versions, models, 2)
            wait_until(lambda: (2, 0.6) in clients.verdicts, 90)
            push_broken(versions, models, 3, "variables/variables.index", b"", in_manifest=False)
            wait_until(lambda: "ersion 3 is refused, 2 remains" in service.console_output(), 60)
            push_broken(versions, models, 4, "saved_model.pb", b"no graph", in_manifest=True)
            wait_until(lambda: "ersion 4 is refused, 2 remains" in service.console_output(), 90)
            shutil.copytree(versions / "1", models / ".pushing-5")
            (models / ".pushing-5").rename(models / "5")
            wait_until(
                lambda: "5 is version 1 according to its manifest" in service.console_output(), 60
            )
            seen = len(clients.verdicts)
            wait_until(lambda: len(clients.verdicts) > seen + 20, 30)
            assert clients.verdicts[-1] == (2, 0.6)
            (models / ".rolled-back").mkdir()
            (models / "2").rename(models / ".rolled-back" / "2")  # like diptych rollback
            wait_until(lambda: "ersion 1 is served now" in service.console_output(), 60)
            seen = len(clients.verdicts)
            wait_until(lambda: len(clients.verdicts) > seen + 20, 30)
        assert clients.errors == []
        assert set(clients.verdicts) == {(1, 1.2), (2, 0.6)}
        assert clients.verdicts[-1] == (1, 1.2)
        assert client.get("/healthz").json()["versions"] == [1]
        assert set(client.get("/healthz").json()["refused"]) == {"3", "4", "5"}
        refused = client.get("/v1/models/birds/versions/3").json()["model_version_status"]
        assert "variables.index has changed" in refused[0]["status"]["error_message"]
        with Clients(service) as clients:  # SIGTERM under load
            wait_until(lambda: len(clients.verdicts) > 20, 30)
            assert stops_cleanly(service, signal.SIGTERM)
        assert not [error for error in clients.errors if "HTTPStatusError" in error]


def test_open_requests_are_answered_before_the_service_stops(versions, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    push(versions, models, 1)
    pair = {"left": b64(DARK), "right": b64(LIGHT)}
    body = json.dumps(pair).encode()

    with running_service(tmp_path, models, "--replicas", "2") as service:
        own = child_processes(service)

        def slow_body():
            yield body[:10]
            time.sleep(0.5)
            service.process.send_signal(signal.SIGINT)
            time.sleep(1)
            yield body[10:]

        with service.client() as client, service.client() as idle:
            assert idle.get("/healthz").status_code == 200
            length = {"Content-Type": "application/json", "Content-Length": str(len(body))}
            answer = client.post("/compare", content=slow_body(), headers=length)
            assert answer.raise_for_status().json()["distance"] == pytest.approx(1.2, abs=1e-5)
            with pytest.raises(httpx.TransportError):
                idle.get("/healthz")
        assert has_stopped_cleanly(service, own)
        assert "Stopped." in service.console_output()


def stops_cleanly(service, number):
    """Send a signal; check the exit code 0 and that no child process remains."""
    own = child_processes(service)
    service.process.send_signal(number)
    return has_stopped_cleanly(service, own)


def has_stopped_cleanly(service, own):
    assert service.process.wait(60) == 0
    wait_until(lambda: not [pid for pid, start in own.items() if start_time(pid) == start], 10)
    return True


@pytest.mark.parametrize(
    ("arguments", "messages"),
    [
        (["--port", "{taken}"], ["Cannot listen on 127.0.0.1", "--port"]),
        (["--model", "{here}"], ["contains no pushed model"]),
        (["--token-file", "{short}"], ["at least 16"]),
    ],
)
def test_a_failed_start_is_one_line_of_error(tmp_path, arguments, messages):
    (tmp_path / "short").write_text("secret")
    with socket.socket() as other, socket.socket() as probe:
        other.bind(("127.0.0.1", 0))
        other.listen()
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
        probe.close()
        values = {
            "taken": other.getsockname()[1],
            "here": tmp_path,
            "short": tmp_path / "short",
        }
        result = subprocess.run(
            [
                *[DIPTYCH, "serve", "--model", str(tmp_path), "--port", str(free)],
                *["--log", str(tmp_path / "log.txt")],
                *[word.format(**values) for word in arguments],
            ],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DIPTYCH_TOKEN": TOKEN},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Error: ")]
    assert all(message in line for message in messages)
    assert "Traceback" not in result.stderr + result.stdout
