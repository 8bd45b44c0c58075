"""From a configuration to the file that Kubeflow Pipelines takes, in its format 2.1."""

import os
from pathlib import Path
from typing import Any

import yaml

from diptych.pipeline.runners.compile_request import CompileRequest
from diptych.pipeline.runners.kubeflow.installed import check_installed
from diptych.pipeline.runners.resources import check_steps, claim_and_path, resources_of
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import ImageFolder, TFRecords
from diptych.schemas.config.nightly import Resources
from diptych.schemas.errors import ConfigError
from diptych.schemas.input_spec import Inputs

ROOT = Path("/diptych")  # where the volume of the pushed models is mounted, unless told otherwise
_COMMAND = ("python", "-m", "diptych.pipeline.runners.kubeflow.step")
_GPU = "nvidia.com/gpu"
# They read what is no artifact: the data, and the folder of the pushed models.
_LOOK_OUTSIDE = ("ExampleGen", "ClassCentroids", "Trainer", "Evaluator", "Pusher")
_FIRST_PAUSE, _LONGEST_PAUSE = "60s", "600s"  # between tries
_MOST_THREADS = 8  # as of a local run
_MOST_BYTES = (
    100_000  # of a step's parameters; Linux takes 131,072 in an argument, JSON quotes some
)


def compiled(request: CompileRequest) -> str:
    """The text of the file: the pipeline, and the volumes as a second document.

    Raises:
      ConfigError: kfp is not installed, there is no image, a volume is none, resources are of a
        step that is not there, or the data are to be looked at and cannot be reached.
    """
    check_installed()
    if request.image is None:
        raise ConfigError("Kubeflow runs the steps in containers: name the image with --image.")
    config = request.config
    mounts = [_mount(volume) for volume in request.volumes]
    spec = _spec(config, _inputs(config), request.root or ROOT, request.image)
    tasks, executors = spec["root"]["dag"]["tasks"], spec["deploymentSpec"]["executors"]
    check_steps(config.nightly, list(tasks))
    for name, task in tasks.items():
        _set_up_task(name, task, config.nightly.retries)
        container = executors[spec["components"][name]["executorLabel"]]["container"]
        _set_up_container(container, resources_of(name, config.nightly))
    documents = [spec]
    if mounts:
        on_kubernetes = {label: {"pvcMount": mounts} for label in executors}
        documents.append(
            {"platforms": {"kubernetes": {"deploymentSpec": {"executors": on_kubernetes}}}}
        )
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=True)
    _check(text)
    return text


class _Dumper(yaml.SafeDumper):
    """Writes out what stands there twice: few readers know YAML's references."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _inputs(config: Config) -> Inputs:
    from diptych.components.example_gen.preflight import settle

    data = config.data
    try:
        return settle(data, config.split)
    except ConfigError as error:
        if os.path.exists(data.path) or "://" in data.path:
            raise
        if isinstance(data, ImageFolder) or (isinstance(data, TFRecords) and data.image):
            # All that a step must know of images is in the configuration.
            return Inputs(kind="image", size=data.size, channels=data.channels)
        raise ConfigError(
            f"{error} The columns of tables are settled when the pipeline is compiled: do it where "
            "the data are mounted as in the cluster."
        ) from error


def _spec(config: Config, inputs: Inputs, root: Path, image: str) -> dict[str, Any]:
    from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import (
        KubeflowV2DagRunner,
        KubeflowV2DagRunnerConfig,
    )

    from diptych.pipeline.graph import build_pipeline
    from diptych.pipeline.workspace import serving_folder

    pipeline = build_pipeline(config, inputs, root, serving_folder(config, root))
    pipeline.pipeline_info.pipeline_name = pipeline_name(config)
    settings = KubeflowV2DagRunnerConfig(
        default_image=image, default_commands=list(_COMMAND), use_pipeline_spec_2_1=True
    )
    job = KubeflowV2DagRunner(settings).run(pipeline, write_out=False)
    spec: dict[str, Any] = job["pipelineSpec"]
    return spec


def pipeline_name(config: Config) -> str:
    """Kubeflow takes no underscores."""
    return config.name.replace("_", "-").strip("-")


def _set_up_task(name: str, task: dict[str, Any], retries: int) -> None:
    task["cachingOptions"] = {} if name in _LOOK_OUTSIDE else {"enableCache": True}
    if retries:
        task["retryPolicy"] = {
            "maxRetryCount": retries,
            "backoffDuration": _FIRST_PAUSE,
            "backoffFactor": 2.0,
            "backoffMaxDuration": _LONGEST_PAUSE,
        }
    constants = (
        parameter["runtimeValue"]["constant"]
        for parameter in task["inputs"].get("parameters", {}).values()
    )
    size = sum(len(str(constant).encode()) for constant in constants)
    if size > _MOST_BYTES:
        raise ConfigError(
            f"The parameters of {name} take {size:,} bytes, and Kubeflow hands over at most "
            f"{_MOST_BYTES:,}. Keep the vector in one list column in place of thousands of columns."
        )


def _set_up_container(container: dict[str, Any], wanted: Resources) -> None:
    # The number of threads is that of the processors here.
    threads = max(1, min(_MOST_THREADS, int(wanted.cpus or 1)))
    container["args"] = [
        f"--direct_num_workers={threads}" if arg.startswith("--direct_num_workers=") else arg
        for arg in container["args"]
    ]
    resources: dict[str, Any] = {}
    for kind, amount in (("Cpu", wanted.cpus), ("Memory", wanted.memory)):
        if amount is not None:
            text = f"{amount:g}" if isinstance(amount, float) else amount
            # With both the same, the step is not the first to be evicted.
            resources |= {f"resource{kind}Request": text, f"resource{kind}Limit": text}
    if wanted.gpus:
        resources["accelerator"] = {"resourceType": _GPU, "resourceCount": str(wanted.gpus)}
    if resources:
        container["resources"] = resources


def _mount(volume: str) -> dict[str, Any]:
    claim, path = claim_and_path(volume)
    return {"constant": claim, "mountPath": path}


def _check(text: str) -> None:
    """Reads it as the backend and kfp do; what they could not read is a fault of ours."""
    from google.protobuf import json_format
    from kfp import components
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec, *platform = yaml.safe_load_all(text)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    for executor in spec["deploymentSpec"]["executors"].values():
        json_format.ParseDict(executor, pipeline_spec_pb2.PipelineDeploymentConfig.ExecutorSpec())
    for document in platform:
        json_format.ParseDict(document, pipeline_spec_pb2.PlatformSpec())
    components.load_component_from_text(text)
