"""Validation of all objects by the schemas of Kubernetes, KubeRay and Flink's operator."""

import json
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from manifests import JOBS, OVERLAYS, objects_of, pods_of, text_of

CRDS = Path(__file__).parent / "crds"
# The schemas of the Prometheus operator are not available; promtool checks its rules.
WITHOUT_SCHEMA = {"PodMonitor", "PrometheusRule"}
VALIDATE = Path(__file__).parents[2] / ".tools/manifests/bin/kubernetes-validate"

# The schemas of Kubernetes have no enumerations; these are the values of the fields used here.
VALUES = {
    "concurrencyPolicy": {"Allow", "Forbid", "Replace"},
    "imagePullPolicy": {"Always", "IfNotPresent", "Never"},
    "restartPolicy": {"Always", "OnFailure", "Never"},
    "whenUnsatisfiable": {"DoNotSchedule", "ScheduleAnyway"},
    "fsGroupChangePolicy": {"Always", "OnRootMismatch"},
    "protocol": {"TCP", "UDP", "SCTP"},
    "effect": {"NoSchedule", "PreferNoSchedule", "NoExecute"},
    "operator": {"In", "NotIn", "Exists", "DoesNotExist"},
    "action": {"FailJob", "Ignore", "Count", "FailIndex"},
    "medium": {"", "Memory"},
    "accessModes": {"ReadWriteOnce", "ReadOnlyMany", "ReadWriteMany", "ReadWriteOncePod"},
    "policyTypes": {"Ingress", "Egress"},
}


def _fields(tree):
    if isinstance(tree, dict):
        for key, value in tree.items():
            yield key, value
            yield from _fields(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _fields(value)


def _validate(objects, folder):
    """Validate strictly: a field that is not in the schema is an error."""
    file = folder / "objects.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    command = [VALIDATE, "--strict", "--quiet", file]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout + result.stderr


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_objects_fit_the_newest_schemas_of_kubernetes(name, tmp_path):
    own = {file.stem for file in CRDS.iterdir()} | WITHOUT_SCHEMA
    objects = [one for one in objects_of(name) if one["kind"] not in own]
    # Also the pods in custom resources.
    objects += [
        {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a", "labels": p.labels}}
        | {"spec": {**p.spec, "containers": [{"name": "x", **one} for one in p.spec["containers"]]}}
        for p in pods_of(objects_of(name))
    ]
    assert "Couldn't find schema" not in _validate(objects, tmp_path)


@pytest.mark.parametrize("crd", sorted(CRDS.iterdir()), ids=lambda file: file.stem)
def test_custom_resources_fit_the_schemas_of_their_operators(crd):
    schema = json.loads(crd.read_text())
    objects = [one for name in (*OVERLAYS, *JOBS) for one in objects_of(name)]
    objects = [one for one in objects if one["kind"] == crd.stem]
    assert objects
    for one in objects:
        assert one["apiVersion"] == schema["apiVersion"]
        jsonschema.validate(one["spec"], schema["spec"])


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_fields_with_fixed_values_have_one_of_them(name):
    num_checked = 0
    for key, value in _fields(objects_of(name)):
        if key in VALUES and not isinstance(value, dict):
            given = value if isinstance(value, list) else [value]
            assert set(given) <= VALUES[key], (key, value)
            num_checked += 1
    assert num_checked


@pytest.mark.parametrize("name", [*OVERLAYS, *JOBS])
def test_every_image_has_a_tag(name):
    for pod in pods_of(objects_of(name)):
        for container in pod.containers:
            tag = container["image"].rpartition("/")[2].partition(":")[2]
            assert tag and tag != "latest", container["image"]


def test_the_newest_schemas_reject_an_unknown_field(tmp_path):
    (job,) = objects_of("rollback")
    job["spec"]["template"]["spec"]["serviceAcountName"] = "diptych"
    with pytest.raises(AssertionError, match="serviceAcountName"):
        _validate([job], tmp_path)


def test_a_job_has_a_generated_name():  # otherwise it could run only once
    for name in JOBS:
        assert "generateName" in text_of(name)
