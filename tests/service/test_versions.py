import json
import shutil
import signal
import socket
import subprocess
import threading
import time
from pathlib import Path

import httpx
import pytest
from processes import descendants, wait_until
from service_runs import DIPTYCH, TOKEN, b64, grey, running_service

from diptych.schemas.manifest import ModelManifest, files_of

DARK, LIGHT = grey(51), grey(204)
PICTURES = {"left": DARK, "right": LIGHT}


def push(made, models, number):
    """As the Pusher does: written beside, then renamed."""
    beside = models / f".pushing-{number}"
    shutil.copytree(made / str(number), beside)
    beside.rename(models / str(number))


def push_broken(made, models, number, name, content, *, told):
    """Pushes one in which a file has another content; its manifest knows of it or not."""
    beside = models / f".pushing-{number}"
    shutil.copytree(made / "2", beside)
    described = files_of(beside)
    (beside / name).write_bytes(content)
    files = files_of(beside) if told else described
    manifest = ModelManifest.read(beside)
    manifest.model_copy(update={"version": number, "files": files}).write(beside)
    beside.rename(models / str(number))


class Clients:
    """Four that ask without a pause until they are told to end, at most for four minutes."""

    def __init__(self, service):
        self.answers, self.faults = [], []
        self._service, self._ended = service, threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(4)]

    def __enter__(self):
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *exception):
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def _ask(self):
        deadline = time.monotonic() + 240
        with self._service.client() as client:
            while not self._ended.is_set() and time.monotonic() < deadline:
                try:
                    answer = client.post("/compare", files=PICTURES)
                    content = answer.raise_for_status().json()
                    self.answers.append((content["version"], round(content["distance"], 4)))
                except Exception as error:
                    self.faults.append(repr(error))


def test_versions_come_and_go_without_a_failed_request(versions, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    push(versions, models, 1)
    with running_service(tmp_path, models) as service, service.client() as client:
        with Clients(service) as clients:
            wait_until(lambda: len(clients.answers) > 20, 30)
            push(versions, models, 2)
            wait_until(lambda: (2, 0.6) in clients.answers, 90)
            push_broken(versions, models, 3, "variables/variables.index", b"", told=False)
            wait_until(lambda: "ersion 3 is refused, 2 stays" in service.said(), 60)
            push_broken(versions, models, 4, "saved_model.pb", b"no graph", told=True)
            wait_until(lambda: "ersion 4 is refused, 2 stays" in service.said(), 90)
            shutil.copytree(versions / "1", models / ".pushing-5")
            (models / ".pushing-5").rename(models / "5")
            wait_until(lambda: "5 is version 1 by its manifest" in service.said(), 60)
            seen = len(clients.answers)
            wait_until(lambda: len(clients.answers) > seen + 20, 30)
            assert clients.answers[-1] == (2, 0.6)
            (models / ".rolled-back").mkdir()
            (models / "2").rename(models / ".rolled-back" / "2")  # as diptych rollback does
            wait_until(lambda: "ersion 1 is served now" in service.said(), 60)
            seen = len(clients.answers)
            wait_until(lambda: len(clients.answers) > seen + 20, 30)
        assert clients.faults == []
        assert set(clients.answers) == {(1, 1.2), (2, 0.6)}
        assert clients.answers[-1] == (1, 1.2)
        assert client.get("/healthz").json()["versions"] == [1]
        assert set(client.get("/healthz").json()["refused"]) == {"3", "4", "5"}
        refused = client.get("/v1/models/birds/versions/3").json()["model_version_status"]
        assert "variables.index has changed" in refused[0]["status"]["error_message"]
        assert ends_clean(service, signal.SIGTERM)


def test_a_request_that_has_begun_is_answered_before_it_ends(versions, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    push(versions, models, 1)
    pair = {"left": b64(DARK), "right": b64(LIGHT)}
    body = json.dumps(pair).encode()

    with running_service(tmp_path, models, "--replicas", "2") as service:
        own = children(service)

        def slowly():
            yield body[:10]
            time.sleep(0.5)
            service.process.send_signal(signal.SIGINT)
            time.sleep(1)
            yield body[10:]

        with service.client() as client, service.client() as idle:
            assert idle.get("/healthz").status_code == 200
            length = {"Content-Type": "application/json", "Content-Length": str(len(body))}
            answer = client.post("/compare", content=slowly(), headers=length)
            assert answer.raise_for_status().json()["distance"] == pytest.approx(1.2, abs=1e-5)
            with pytest.raises(httpx.TransportError):
                idle.get("/healthz")
        assert ended_clean(service, own)
        assert "Ended." in service.said()


def ends_clean(service, number):
    """Whether it ends by a signal with code 0, and leaves no process behind."""
    own = children(service)
    service.process.send_signal(number)
    return ended_clean(service, own)


def children(service):
    """The processes that it has started, and when each began."""
    own = {pid: began(pid) for pid in descendants(service.process.pid)}
    assert own
    return own


def ended_clean(service, own):
    assert service.process.wait(60) == 0
    wait_until(lambda: not [pid for pid, start in own.items() if began(pid) == start], 10)
    return True


def began(pid):
    """When a process began, by which it is told from a later one of its number; None: it ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "{taken}"], ["Cannot listen on 127.0.0.1", "--port"]),
        (["--model", "{here}"], ["Needed is a folder of pushed models"]),
        (["--token-file", "{short}"], ["at least 16"]),
    ],
)
def test_what_keeps_it_from_starting_is_told_in_a_line(tmp_path, arguments, words):
    (tmp_path / "short").write_text("secret")
    with socket.socket() as other, socket.socket() as probe:
        other.bind(("127.0.0.1", 0))
        other.listen()
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
        probe.close()
        places = {
            "taken": other.getsockname()[1],
            "here": tmp_path,
            "short": tmp_path / "short",
        }
        done = subprocess.run(
            [
                *[DIPTYCH, "serve", "--model", str(tmp_path), "--port", str(free)],
                *["--log", str(tmp_path / "log.txt")],
                *[word.format(**places) for word in arguments],
            ],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "DIPTYCH_TOKEN": TOKEN},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert all(word in line for word in words)
    assert "Traceback" not in done.stderr + done.stdout
