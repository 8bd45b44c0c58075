"""The service behind a proxy, in folders whose names have a meaning elsewhere."""

import base64
import stat
from pathlib import Path

from exposure import (
    environment_of,
    listening_addresses,
    reachable_by_others,
    writable_by_others,
)
from hostile_modules import HostileFolder
from processes import pids_of_session
from pushed_model import push_images
from recording_proxy import recording_proxy
from service_runs import grey, running_service


def test_the_service_works_behind_a_proxy_and_in_any_folder(tmp_path):
    folder = tmp_path / "out [v2] 100% *?\\'\"\n\x1b{}#"
    push_images(folder / "models", version=7, threshold=0.25)
    hostile = HostileFolder(tmp_path / "modules")
    with (
        recording_proxy() as (environment, requests),
        running_service(
            folder,
            folder / "models",
            *("--gallery", folder / "gallery"),
            environment={**environment, "TMPDIR": str(folder)},
            working_directory=hostile.path,
        ) as service,
        service.client() as client,
    ):
        dark = f"data:image/png;base64,{base64.encodebytes(grey(10)).decode()}"
        light = base64.urlsafe_b64encode(grey(250)).decode().rstrip("=")
        body = {"left": {"b64": dark}, "right": {"b64": light}}
        different = client.post("/compare", json=body)
        assert different.status_code == 200, different.text
        assert different.json()["same"] is False
        label = "it's\n[a]"
        enrolled = client.post("/enroll", json={"label": label, "examples": [{"b64": dark}]})
        assert enrolled.json()["added"] == 1, enrolled.text
        found = client.post("/identify", json={"example": {"b64": dark}})
        assert found.json()["candidates"][0]["label"] == label
        shown = service.console_output()
        pids = pids_of_session(service.process.pid)
        listening = listening_addresses(pids)
        token_files = {environment_of(pid).get("RAY_AUTH_TOKEN_PATH") for pid in pids} - {None}
        (ray_folder,) = {Path(file).parent for file in token_files}
        assert reachable_by_others(ray_folder) == {}
        assert stat.S_IMODE((ray_folder / "token").stat().st_mode) == 0o600
    assert {(ip, name) for ip, _, name in listening if ip != "127.0.0.1"} == set()
    assert {name for _, _, name in listening} >= {"raylet", "gcs_server", "diptych"}
    assert writable_by_others(folder) == {}
    assert requests == []
    assert hostile.imported() == []
    assert "\x1b" not in shown
    assert "\\n\\x1b{}#" in shown
