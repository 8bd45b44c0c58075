"""Pods of the manifests in local containers: their mounts and permissions suffice."""

import json
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
import yaml
from containers import owned_by_its_user, run_in_image
from manifests import objects_of, pods_of
from pipeline_runs import QUICK, blobs


def _options(owner, folders):
    """Options of `podman run` for the only container of a pod of the overlay local.

    Args:
      owner: Controller of the pod, such as ``Deployment/serve``.
      folders: Folders to mount for claims, secrets and configuration, keyed by volume name.
    """
    (pod,) = [pod for pod in pods_of(objects_of("local")) if pod.owner == owner]
    (container,) = pod.containers
    options = ["--read-only", "--read-only-tmpfs=false", "--workdir", container["workingDir"]]
    options += ["--user", "{runAsUser}:{runAsGroup}".format(**pod.spec["securityContext"])]
    for one in container["env"]:
        options += ["--env", f"{one['name']}={one['value']}"]
    scratch = {volume["name"] for volume in pod.spec["volumes"] if "emptyDir" in volume}
    for mount in container["volumeMounts"]:
        name, path = mount["name"], mount["mountPath"]
        if name not in scratch:
            options += [
                "--volume",
                f"{folders[name]}:{path}:{'ro' if mount.get('readOnly') else 'rw'}",
            ]
        elif path != "/dev/shm":  # set by another option
            options += ["--tmpfs", f"{path}:mode=1777"]
    return options, container["args"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Folders with a table, a configuration, an empty root and a token, keyed by volume name."""
    folder = tmp_path_factory.mktemp("volumes")
    for one in (folder.parent, folder):
        one.chmod(0o755)
    folders = {name: folder / name for name in ("data", "config", "token")}
    for path in folders.values():
        path.mkdir()
    x, labels = blobs(400, seed=1)
    table = pd.DataFrame(x, columns=list("abcde"))
    table.insert(0, "species", np.array(["ant", "bee", "cat"])[labels])
    table.to_csv(folders["data"] / "data.csv", index=False)
    data = {"kind": "table", "path": "/data/data.csv", "label": "species"}
    settings = {**QUICK, "name": "toy", "data": data}
    (folders["config"] / "diptych.yaml").write_text(yaml.safe_dump(settings))
    (folders["token"] / "token").write_text("a-token-of-this-test")
    return {**folders, "root": owned_by_its_user(folder / "root")}


@pytest.fixture(scope="module")
def night(folders):
    """Summary that the nightly pod prints in its last line."""
    options, args = _options("CronJob/diptych-nightly", folders)
    output = run_in_image(*args, options=options, read_only=False)
    return json.loads(output.splitlines()[-1])


def test_the_nightly_pod_pushes_a_model(night, folders):
    (version,) = [path for path in (folders["root"] / "serving").iterdir() if path.name.isdigit()]
    assert (version / "saved_model.pb").stat().st_uid == 10001
    assert version.name in night["version"]


def test_the_serving_pod_serves_it(night, folders):
    options, args = _options("Deployment/serve", folders)
    name = f"diptych-test-{time.time_ns()}"
    run_in_image(*args, options=[*options, "--detach", "--name", name], read_only=False)
    health_check = (
        "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8501/healthz').read())"
    )
    try:
        for _ in range(60):
            command = ["podman", "--runtime", "runc", "exec", name, "python", "-c", health_check]
            result = subprocess.run(command, capture_output=True, text=True, check=False)
            if result.returncode == 0:
                break
            time.sleep(2)
        assert '"status":"ok"' in result.stdout, result.stderr
    finally:
        subprocess.run(["podman", "--runtime", "runc", "rm", "--force", name], check=False)
