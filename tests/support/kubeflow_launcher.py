"""Runs a compiled pipeline as Kubeflow Pipelines does, with folders in place of the cluster.

It follows the driver and the launcher of the open-source backend: each step is the command of its
container, in a process of its own with a disk of its own. Inputs are copied from the bucket to the
disk before it, outputs from the disk to the bucket after it. An input artifact comes with the
number of its record as the name, without a type, and with all numbers as floats.
"""

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import yaml


class Kubeflow:
    """A cluster: its bucket, its records of artifacts, and its cache."""

    def __init__(self, folder, scheme="minio"):
        self._folder, self._scheme = folder, scheme
        self._numbers = itertools.count(1)
        self._cache = {}
        self.ran = {}  # run -> names of the steps that were not taken from the cache

    def run(self, file, run, done=None):
        """Runs a pipeline, one step after the other.

        Args:
          file: of the compiled pipeline.
          run: name of the run.
          done: steps that are not run, with their outputs.

        Returns:
          For each step its outputs, by name; each with its path in the bucket and its metadata.
        """
        spec = next(yaml.safe_load_all(file.read_text()))
        tasks = spec["root"]["dag"]["tasks"]
        outputs = dict(done or {})
        self.ran[run] = []
        while waiting := [name for name in tasks if name not in outputs]:
            name = next(one for one in waiting if outputs.keys() >= _before(tasks[one]))
            outputs[name] = self._step(spec, name, run, outputs)
        return outputs

    def _step(self, spec, name, run, outputs):
        task = spec["root"]["dag"]["tasks"][name]
        component = spec["components"][task["componentRef"]["name"]]
        container = spec["deploymentSpec"]["executors"][component["executorLabel"]]["container"]
        inputs = {
            key: outputs[source["taskOutputArtifact"]["producerTask"]][
                source["taskOutputArtifact"]["outputArtifactKey"]
            ]
            for key, source in task["inputs"].get("artifacts", {}).items()
        }
        parameters = {
            key: value["runtimeValue"]["constant"]
            for key, value in task["inputs"].get("parameters", {}).items()
        }
        names = sorted((key, artifact["name"]) for key, artifact in inputs.items())
        key = json.dumps([names, parameters, container], sort_keys=True)
        if task["cachingOptions"].get("enableCache") and key in self._cache:
            return self._cache[key]
        self.ran[run].append(name)
        disk = self._folder / "disks" / f"{run}-{name}"
        provisioned = {
            key: {
                "uri": f"{self._scheme}://bucket/root/{run}/{name}/{key}",
                "type": artifact["artifactType"],
            }
            for key, artifact in component.get("outputDefinitions", {}).get("artifacts", {}).items()
        }
        for artifact in inputs.values():
            if artifact["path"].exists():
                shutil.copytree(artifact["path"], _on(disk, artifact["uri"]))
        for artifact in provisioned.values():
            _on(disk, artifact["uri"]).parent.mkdir(parents=True, exist_ok=True)
        output_file = disk / "kfp_outputs" / "output_metadata.json"
        self._execute(
            container,
            {
                "inputs": {"parameterValues": parameters, "artifacts": _lists(inputs)},
                "outputs": {"artifacts": _lists(provisioned), "outputFile": str(output_file)},
            },
            disk,
        )
        said = json.loads(output_file.read_text()).get("artifacts", {})
        recorded = {
            key: self._record(key, artifact["uri"], said[key]["artifacts"][0], disk)
            for key, artifact in provisioned.items()
        }
        self._cache[key] = recorded
        return recorded

    def _execute(self, container, given, disk):
        text = json.dumps(given)
        command = [arg.replace("{{$}}", text) for arg in container["command"] + container["args"]]
        log = disk / "log.txt"
        with log.open("w") as file:
            done = subprocess.run(
                [*command, f"--mounts={disk}"],
                cwd=disk,
                env={
                    **{key: value for key, value in os.environ.items() if key != "PYTHONPATH"},
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                },
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=300,
                check=False,
            )
        assert done.returncode == 0, log.read_text()[-3000:]

    def _record(self, name, uri, said, disk):
        """Uploads an output and puts down what the step said of it."""
        assert said.get("uri", uri) == uri
        path = _on(self._folder, uri)
        if _on(disk, uri).exists():
            shutil.copytree(_on(disk, uri), path)
        metadata = {key: _stored(value) for key, value in said.get("metadata", {}).items()}
        metadata |= {"display_name": name, "store_session_info": '{"Provider":"minio"}'}
        number = str(next(self._numbers))
        return {"name": number, "uri": uri, "metadata": metadata, "path": path}


def _before(task):
    return set(task.get("dependentTasks", []))


def _on(disk, uri):
    """Where the launcher puts what is at an address."""
    scheme, _, place = uri.partition("://")
    return disk / {"gs": "gcs"}.get(scheme, scheme) / place


def _lists(artifacts):
    """As messages hold them: lists of one, of what the backend tells the step."""
    told = ("name", "uri", "type", "metadata")
    return {
        name: {"artifacts": [{key: artifact[key] for key in told if key in artifact}]}
        for name, artifact in artifacts.items()
    }


def _stored(value):
    """A property as it comes back from the records of the backend."""
    assert value is not None  # "unknown/unsupported value type"
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, list):
        return {"list": value}
    return {"struct": value} if isinstance(value, dict) else value
