"""Emulation of Kubeflow Pipelines that runs a compiled pipeline in local processes and folders.

It follows the driver and the launcher of the open-source backend. Each step is the command of its
container, in a separate process with a separate disk (a folder). Inputs are copied from the bucket
to the disk before the step, and outputs from the disk to the bucket after it. An input artifact has
the id of its record as its name, no type, and all numbers as floats.
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
    """A cluster, with a bucket, artifact records and a cache."""

    def __init__(self, folder, scheme="minio"):
        self._folder, self._scheme = folder, scheme
        self._numbers = itertools.count(1)
        self._cache = {}
        self.ran = {}  # run -> names of the steps that were not cached

    def run(self, file, run, completed=None):
        """Run a pipeline, one step after the other.

        Args:
          file: Compiled pipeline.
          run: Name of the run.
          completed: Outputs of steps that are not run, by step.

        Returns:
          Outputs of each step by name, each with its path in the bucket and its metadata.
        """
        spec = next(yaml.safe_load_all(file.read_text()))
        tasks = spec["root"]["dag"]["tasks"]
        outputs = dict(completed or {})
        self.ran[run] = []
        while waiting := [name for name in tasks if name not in outputs]:
            name = next(one for one in waiting if outputs.keys() >= _upstream(tasks[one]))
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
                shutil.copytree(artifact["path"], _disk_path(disk, artifact["uri"]))
        for artifact in provisioned.values():
            _disk_path(disk, artifact["uri"]).parent.mkdir(parents=True, exist_ok=True)
        output_file = disk / "kfp_outputs" / "output_metadata.json"
        self._execute(
            container,
            {
                "inputs": {"parameterValues": parameters, "artifacts": _lists(inputs)},
                "outputs": {"artifacts": _lists(provisioned), "outputFile": str(output_file)},
            },
            disk,
        )
        reported = json.loads(output_file.read_text()).get("artifacts", {})
        recorded = {
            key: self._record(key, artifact["uri"], reported[key]["artifacts"][0], disk)
            for key, artifact in provisioned.items()
        }
        self._cache[key] = recorded
        return recorded

    def _execute(self, container, executor_input, disk):
        text = json.dumps(executor_input)
        command = [arg.replace("{{$}}", text) for arg in container["command"] + container["args"]]
        log = disk / "log.txt"
        with log.open("w") as file:
            result = subprocess.run(
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
        assert result.returncode == 0, log.read_text()[-3000:]

    def _record(self, name, uri, reported, disk):
        """Upload an output and record the metadata that the step reported."""
        assert reported.get("uri", uri) == uri
        path = _disk_path(self._folder, uri)
        if _disk_path(disk, uri).exists():
            shutil.copytree(_disk_path(disk, uri), path)
        metadata = {key: _stored(value) for key, value in reported.get("metadata", {}).items()}
        metadata |= {"display_name": name, "store_session_info": '{"Provider":"minio"}'}
        number = str(next(self._numbers))
        return {"name": number, "uri": uri, "metadata": metadata, "path": path}


def _upstream(task):
    return set(task.get("dependentTasks", []))


def _disk_path(disk, uri):
    """Return the path on a disk to which the launcher copies the content of a URI."""
    scheme, _, name = uri.partition("://")
    return disk / {"gs": "gcs"}.get(scheme, scheme) / name


def _lists(artifacts):
    """Return artifact lists of length one, with the keys that the backend passes to the step."""
    keys = ("name", "uri", "type", "metadata")
    return {
        name: {"artifacts": [{key: artifact[key] for key in keys if key in artifact}]}
        for name, artifact in artifacts.items()
    }


def _stored(value):
    """Return a property as the backend records and returns it."""
    assert value is not None  # "unknown/unsupported value type"
    if isinstance(value, bool | int | float):
        return float(value)
    if isinstance(value, list):
        return {"list": value}
    return {"struct": value} if isinstance(value, dict) else value
