"""Security of the pods: the level `restricted` of Kubernetes, and further restrictions."""

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
        pod_context = pod.spec["securityContext"]
        assert pod_context["runAsNonRoot"] is True, pod.owner
        assert pod_context["runAsUser"] == pod_context["runAsGroup"] == 10001, pod.owner
        assert pod_context["seccompProfile"] == {"type": "RuntimeDefault"}, pod.owner
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.spec.keys(), pod.owner
        for volume in pod.spec.get("volumes", []):
            assert volume.keys() - {"name"} <= VOLUMES, pod.owner
        for container in pod.containers:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, pod.owner
            assert context["capabilities"] == {"drop": ["ALL"]}, pod.owner
            # Flink's start script writes into folders of the user of the image.
            flink = container["name"] == "flink-main-container"
            assert context.get("runAsUser") == (9999 if flink else None), pod.owner
            assert context.get("readOnlyRootFilesystem") is (None if flink else True), pod.owner


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_only_the_autoscaler_of_ray_may_use_the_kubernetes_api(name):
    for pod in pods_of(objects_of(name)):
        has_autoscaler = pod.labels.get("ray.io/node-type") == "head"
        assert pod.spec["automountServiceAccountToken"] is has_autoscaler, pod.owner
        assert pod.spec["serviceAccountName"] == ("diptych-ray" if has_autoscaler else "diptych")
    for account in of_kind(objects_of(name), "ServiceAccount").values():
        assert account["automountServiceAccountToken"] is False
    assert not {"Role", "ClusterRole", "RoleBinding"} & {o["kind"] for o in objects_of(name)}


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_raw_data_and_the_root_of_servers_are_read_only(name):
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
def test_memory_requests_equal_limits(name):  # nodes are not overcommitted
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


def test_ray_requires_its_token():
    pods = [pod for pod in pods_of(objects_of("gpu")) if pod.owner == "CronJob/diptych-nightly"]
    env = {one["name"]: one["value"] for one in pods[0].spec["containers"][0]["env"]}
    assert env["RAY_AUTH_MODE"] == "token"
    assert "RAY_AUTH_TOKEN_PATH" in env


def test_checkov_finds_nothing(tmp_path):
    files = []
    for name in (*OVERLAYS, "rollback"):  # it does not support custom resources
        # Without a name, checkov does not recognize the Job.
        text = text_of(name).replace("generateName: diptych-rollback-", "name: diptych-rollback")
        files.append(tmp_path / f"{name}.yaml")
        files[-1].write_text(text)
    command = [CHECKOV, "--config-file", Path(__file__).parent / "checkov.yaml"]
    command += [part for file in files for part in ("--file", file)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
    assert "Failed checks: 0" in result.stdout
