"""Faults of the machine and of other programs, one after another, in one service."""

import os
import signal
import threading
from pathlib import Path

from processes import descendants, pids_with_command, wait_until
from service_runs import (
    b64,
    child_processes,
    grey,
    push,
    read_metrics,
    running_service,
    start_time,
)

from diptych.inference.gallery import Gallery
from diptych.inference.gallery_changes import replace_embeddings
from diptych.inference.gallery_files import GalleryCatalog, ModelIdentity, lock_gallery
from diptych.inference.pushed_model import PushedModel

DARK, LIGHT = grey(51), grey(204)
PAIR = {"left": b64(DARK), "right": b64(LIGHT)}


def test_faults_of_files_and_processes(versions, tmp_path):
    models, gallery = tmp_path / "models", tmp_path / "gallery"
    models.mkdir()
    push(versions, models, 1)
    with (
        running_service(tmp_path, models, "--gallery", gallery) as service,
        service.client() as client,
    ):
        raven = {"label": "raven", "examples": [b64(DARK)]}
        assert client.post("/enroll", json=raven).json()["added"] == 1
        check_that_a_truncated_gallery_does_not_end_the_service(client, gallery)
        push(versions, models, 2)
        wait_until(lambda: health(client)["versions"] == [1, 2], 90)
        check_that_an_enrolment_waits_for_the_re_embedding(client, models, gallery)
        check_that_a_damaged_version_is_replaced_by_the_previous_one(service, client, models)
        check_that_killed_replicas_start_again(service, client)
        check_that_the_service_ends_with_ray(service)


def health(client):
    return client.get("/healthz").json()


def check_that_a_truncated_gallery_does_not_end_the_service(client, gallery):
    (path,) = gallery.glob("examples-*")
    content = path.read_bytes()
    os.truncate(path, 0)
    found = client.post("/identify", json={"example": b64(DARK)})
    assert found.json()["candidates"][0]["label"] == "raven", found.text
    path.write_bytes(content)


def check_that_an_enrolment_waits_for_the_re_embedding(client, models, gallery):
    model = PushedModel(models / "2")
    responses = []
    swan = {"label": "swan", "examples": [b64(LIGHT)]}
    enrolling = threading.Thread(
        target=lambda: responses.append(client.post("/enroll", json=swan, timeout=60))
    )
    with lock_gallery(gallery):  # as Gallery.re_embed
        enrolling.start()
        enrolling.join(2)  # it has embedded with version 1 and waits for the lock
        assert responses == []
        identity = ModelIdentity.from_manifest(model.manifest)
        catalog = GalleryCatalog.read(gallery)
        replace_embeddings(gallery, catalog, identity, model.embed).write(gallery)
    enrolling.join()
    assert responses[0].status_code == 200, responses[0].text
    assert (responses[0].json()["version"], responses[0].json()["added"]) == (2, 1)
    assert Gallery.open(gallery, model).labels == {"raven": 1, "swan": 1}


def check_that_a_damaged_version_is_replaced_by_the_previous_one(service, client, models):
    os.truncate(models / "2" / "variables" / "variables.index", 0)
    kill_replicas(service, "version-2")
    wait_until(lambda: health(client)["versions"] == [1], 60)
    assert set(health(client)["refused"]) == {"2"}
    answer = client.post("/compare", json=PAIR)
    assert (answer.status_code, answer.json()["version"]) == (200, 1)
    assert read_metrics(client)["diptych_refused_versions"] == 1
    assert read_metrics(client)["diptych_model_version"] == 1
    (status,) = client.get("/v1/models/birds/versions/2").json()["model_version_status"]
    assert "variables.index has changed" in status["status"]["error_message"]
    wait_until(lambda: "ersion 2 is refused, 1 remains" in service.console_output(), 10)


def check_that_killed_replicas_start_again(service, client):
    kill_replicas(service, "version-1")

    def is_answered():
        return client.post("/compare", json=PAIR, timeout=90).status_code == 200

    wait_until(is_answered, 90)
    assert health(client)["versions"] == [1]


def check_that_the_service_ends_with_ray(service):
    own = child_processes(service)
    folders = {path for pid in own for path in ray_folders(pid)}
    assert folders
    (gcs,) = pids_with_command(own, "gcs_server")
    os.kill(gcs, signal.SIGKILL)
    assert service.process.wait(20) == 1
    (line,) = [line for line in service.console_output().splitlines() if "gcs_server" in line]
    assert line.startswith("Error: the process gcs_server of Ray has ended")
    assert "Traceback" not in service.console_output()
    wait_until(lambda: not [pid for pid, start in own.items() if start_time(pid) == start], 5)
    assert not [folder for folder in folders if os.path.exists(folder)]


def ray_folders(pid):
    words = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    return [word.partition("=")[2] for word in words if word.startswith("--temp_dir=")]


def kill_replicas(service, name):
    pids = wait_until(
        lambda: pids_with_command(descendants(service.process.pid), f"ServeReplica:{name}"), 60
    )
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
