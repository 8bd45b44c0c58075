"""No pod can do more than it needs: Kubernetes' level `restricted`, and a little more."""

import subprocess
from pathlib import Path

import pytest
from manifests import FOLDER, JOBS, OVERLAYS, objects_of, of_kind, pods_of, text_of

CHECKOV = FOLDER.parents[1] / ".tools/manifests/bin/checkov"
VOLUMES = {"configMap", "emptyDir", "persistentVolumeClaim", "secret"}


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_namespace_enforces_the_level_restricted(name):
    labels = of_kind(objects_of(name), "Namespace")["diptych"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", OVERLAYS)
def test_everything_is_in_the_namespace(name):
    for one in objects_of(name):
        if one["kind"] != "Namespace":
            assert one["metadata"]["namespace"] == "diptych", one["metadata"]["name"]


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_pods_are_restricted(name):
    for pod in pods_of(objects_of(name)):
        whole = pod.spec["securityContext"]
        assert whole["runAsNonRoot"] is True, pod.owner
        assert whole["runAsUser"] == whole["runAsGroup"] == 10001, pod.owner
        assert whole["seccompProfile"] == {"type": "RuntimeDefault"}, pod.owner
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys(), pod.owner
        for volume in pod.spec.get("volumes", []):
            assert volume.keys() - {"name"} <= VOLUMES, pod.owner
        for container in pod.containers:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False, pod.owner
            assert own["capabilities"] == {"drop": ["ALL"]}, pod.owner
            # Flink's start script writes into folders of the image's user; see there.
            flink = container["name"] == "flink-main-container"
            assert own.get("runAsUser") == (9999 if flink else None), pod.owner
            assert own.get("readOnlyRootFilesystem") is (None if flink else True), pod.owner


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_only_rays_autoscaler_may_ask_kubernetes(name):
    for pod in pods_of(objects_of(name)):
        asks = pod.labels.get("ray.io/node-type") == "head"
        assert pod.spec["automountServiceAccountToken"] is asks, pod.owner
        assert pod.spec["serviceAccountName"] == ("diptych-ray" if asks else "diptych")
    for account in of_kind(objects_of(name), "ServiceAccount").values():
        assert account["automountServiceAccountToken"] is False
    assert not {"Role", "ClusterRole", "RoleBinding"} & {o["kind"] for o in objects_of(name)}


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_raw_data_are_read_only_and_servers_write_nothing(name):
    for pod in pods_of(objects_of(name)):
        mounts = [one for c in pod.containers for one in c.get("volumeMounts", [])]
        for mount in mounts:
            if mount["name"] in ("data", "config", "token", "ray-token"):
                assert mount["readOnly"] is True, pod.owner
            if mount["name"] == "root" and pod.owner in (
                "Deployment/serve",
                "Deployment/tf-serving",
            ):
                assert mount["readOnly"] is True, pod.owner


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_memory_is_requested_as_much_as_it_is_limited(name):  # a node is never promised twice
    for pod in pods_of(objects_of(name)):
        for container in pod.containers:
            resources = container["resources"]
            assert resources["requests"]["memory"] == resources["limits"]["memory"], pod.owner
            assert "cpu" in resources["requests"] and "cpu" in resources["limits"], pod.owner


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_secrets_are_files_and_not_in_the_manifests(name):
    objects = objects_of(name)
    assert not of_kind(objects, "Secret")
    for pod in pods_of(objects):
        for container in pod.containers:
            assert not any("valueFrom" in one for one in container.get("env", [])), pod.owner


def test_ray_never_runs_without_its_token():
    pods = [pod for pod in pods_of(objects_of("gpu")) if pod.owner == "CronJob/diptych-nightly"]
    env = {one["name"]: one["value"] for one in pods[0].spec["containers"][0]["env"]}
    assert env["RAY_AUTH_MODE"] == "token"
    assert "RAY_AUTH_TOKEN_PATH" in env


def test_checkov_finds_nothing(tmp_path):
    files = []
    for name in (*OVERLAYS, "rollback"):  # of custom resources, it knows none
        # Kubernetes names it; without one, checkov does not take it for a Job.
        text = text_of(name).replace("generateName: diptych-rollback-", "name: diptych-rollback")
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(text)
    command = [CHECKOV, "--config-file", Path(__file__).parent / "checkov.yaml"]
    command += [part for file in files for part in ("--file", file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "Failed checks: 0" in done.stdout
