"""Kubernetes objects that `kubectl apply -k` would send, and the pods that they create."""

import dataclasses
import functools
import subprocess
from pathlib import Path

import yaml

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
OVERLAYS = ("local", "nightly", "gpu")
JOBS = ("rollback", "ray-night")


@functools.cache
def text_of(name):
    """Return the YAML of an overlay, built by kustomize, or of a job."""
    if name in JOBS:
        return (FOLDER / "jobs" / f"{name}.yaml").read_text()
    command = ["kubectl", "kustomize", FOLDER / "overlays" / name]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def objects_of(name):
    return [document for document in yaml.safe_load_all(text_of(name)) if document]


def of_kind(objects, kind):
    """Return the objects of a kind, keyed by name."""
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


@dataclasses.dataclass(frozen=True, eq=False)
class Pod:
    """A pod that a controller creates."""

    owner: str
    labels: dict
    spec: dict
    namespace: str = "diptych"

    @property
    def containers(self):
        return self.spec.get("initContainers", []) + self.spec["containers"]


def pods_of(objects):
    """Return one pod for each pod template."""
    return [pod for one in objects for pod in _POD_MAKERS.get(one["kind"], _none)(one)]


def _none(one):
    return []


def _of_template(one, template, **labels):
    name = one["metadata"].get("name") or one["metadata"]["generateName"]
    own = template.get("metadata", {}).get("labels", {})
    return Pod(f"{one['kind']}/{name}", {**own, **labels}, template["spec"])


def _of_ray(one):
    """Pods of a RayCluster, with the labels that KubeRay 1.5 sets."""
    cluster = {"ray.io/cluster": one["metadata"]["name"], "ray.io/is-ray-node": "yes"}
    groups = [(one["spec"]["headGroupSpec"], "head", "headgroup")]
    groups += [(group, "worker", group["groupName"]) for group in one["spec"]["workerGroupSpecs"]]
    return [
        _of_template(
            one, group["template"], **cluster, **{"ray.io/node-type": kind, "ray.io/group": name}
        )
        for group, kind, name in groups
    ]


def _of_flink(one):
    """Pods of a FlinkDeployment, with the labels and merged templates of the operator."""
    spec = one["spec"]
    pods = []
    for role in ("jobManager", "taskManager"):
        own = spec[role].get("podTemplate", {"spec": {"containers": []}})["spec"]
        common = spec["podTemplate"]["spec"]
        resource = {key: str(value) for key, value in spec[role]["resource"].items()}
        main = {"image": spec["image"], "resources": {"limits": resource, "requests": resource}}
        merged = {
            **common,
            "serviceAccountName": spec["serviceAccount"],
            "containers": [main | common["containers"][0], *own["containers"]],
            "volumes": common["volumes"] + own.get("volumes", []),
        }
        labels = {"app": one["metadata"]["name"], "component": role.lower()}
        template = {"metadata": spec["podTemplate"]["metadata"], "spec": merged}
        pods.append(_of_template(one, template, **labels))
    return pods


_POD_MAKERS = {
    "Deployment": lambda one: [_of_template(one, one["spec"]["template"])],
    "Job": lambda one: [_of_template(one, one["spec"]["template"])],
    "CronJob": lambda one: [_of_template(one, one["spec"]["jobTemplate"]["spec"]["template"])],
    "RayJob": lambda one: [_of_template(one, one["spec"]["submitterPodTemplate"])],
    "RayCluster": _of_ray,
    "FlinkDeployment": _of_flink,
}


def selects(selector, labels):
    """Return whether a label selector of Kubernetes matches these labels."""
    operators = {
        "In": lambda value, values: value in values,
        "NotIn": lambda value, values: value not in values,
        "Exists": lambda value, values: value is not None,
    }
    wanted = selector.get("matchLabels", {}).items()
    return all(labels.get(key) == value for key, value in wanted) and all(
        operators[one["operator"]](labels.get(one["key"]), one.get("values"))
        for one in selector.get("matchExpressions", [])
    )
