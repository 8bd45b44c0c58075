"""Compiler for Kubeflow Pipelines: a pipeline spec, version 2.1."""

import os
from pathlib import Path
from typing import Any

import yaml

from diptych.pipeline.runners.compile_request import CompileRequest
from diptych.pipeline.runners.kubeflow.installed import check_kfp_installed
from diptych.pipeline.runners.resources import (
    check_resource_steps,
    parse_volume,
    step_resources,
)
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import ImageFolder, TFRecords
from diptych.schemas.config.nightly import StepResources
from diptych.schemas.errors import ConfigError
from diptych.schemas.input_spec import InputSpec

DEFAULT_ROOT = Path("/diptych")  # mount path of the volume with the pushed models
_COMMAND = ("python", "-P", "-m", "diptych.pipeline.runners.kubeflow.step")
_GPU_RESOURCE = "nvidia.com/gpu"
# Not cached by Kubeflow: these steps also read the raw data or the folder of pushed models.
_UNCACHED_STEPS = ("ExampleGen", "ClassCentroids", "Trainer", "Evaluator", "Pusher")
_MIN_BACKOFF, _MAX_BACKOFF = "60s", "600s"
_MAX_THREADS = 8  # as in a local run
# Linux accepts 131,072 bytes in an argument; JSON adds quotes and escapes to the parameters.
_MAX_PARAMETER_BYTES = 100_000


def compile_kubeflow_pipeline(request: CompileRequest) -> str:
    """Compile the pipeline to YAML: the pipeline spec, and the volumes as a second document.

    Raises:
      ConfigError: If kfp is not installed, the image is missing, a volume or a resource is invalid,
        or the columns must be inferred and the data cannot be reached.
    """
    check_kfp_installed()
    if request.image is None:
        raise ConfigError(
            "Kubeflow runs the steps in containers. Choose a container image with --image."
        )
    config = request.config
    mounts = [_pvc_mount(volume) for volume in request.volumes]
    input_spec = _resolve_input_spec(config)
    spec = _compile_spec(config, input_spec, request.root or DEFAULT_ROOT, request.image)
    tasks, executors = spec["root"]["dag"]["tasks"], spec["deploymentSpec"]["executors"]
    check_resource_steps(config.nightly, list(tasks))
    for name, task in tasks.items():
        _configure_task(name, task, config.nightly.retries)
        container = executors[spec["components"][name]["executorLabel"]]["container"]
        _configure_container(container, step_resources(name, config.nightly))
    documents = [spec]
    if mounts:
        pvc_mounts = {label: {"pvcMount": mounts} for label in executors}
        documents.append(
            {"platforms": {"kubernetes": {"deploymentSpec": {"executors": pvc_mounts}}}}
        )
    text = dump_documents(documents)
    _check_parseable(text)
    return text


def dump_documents(documents: list[dict[str, Any]]) -> str:
    """Format YAML documents; each text is escaped, so that it is read as the same text."""
    return yaml.dump_all(documents, Dumper=_NoAliasDumper, sort_keys=True)


class _NoAliasDumper(yaml.SafeDumper):
    """Repeat equal values instead of YAML aliases, which few readers know."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _resolve_input_spec(config: Config) -> InputSpec:
    """Infer what a raw example contains; for images without the data, from the configuration."""
    from diptych.components.example_gen.infer_spec import image_input_spec, infer_input_spec

    data = config.data
    try:
        return infer_input_spec(data, config.split)
    except ConfigError as error:
        if os.path.exists(data.path) or "://" in data.path:
            raise
        if isinstance(data, ImageFolder) or (isinstance(data, TFRecords) and data.image):
            return image_input_spec(data)
        raise ConfigError(
            f"{error} The columns of tables are inferred at compile time. Compile on a machine "
            "where the data have the same path as in the cluster."
        ) from error


def _compile_spec(config: Config, inputs: InputSpec, root: Path, image: str) -> dict[str, Any]:
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
    """Return the name of the pipeline in Kubeflow, which does not allow underscores."""
    return config.name.replace("_", "-").strip("-")


def _configure_task(name: str, task: dict[str, Any], retries: int) -> None:
    task["cachingOptions"] = {} if name in _UNCACHED_STEPS else {"enableCache": True}
    if retries:
        task["retryPolicy"] = {
            "maxRetryCount": retries,
            "backoffDuration": _MIN_BACKOFF,
            "backoffFactor": 2.0,
            "backoffMaxDuration": _MAX_BACKOFF,
        }
    constants = (
        parameter["runtimeValue"]["constant"]
        for parameter in task["inputs"].get("parameters", {}).values()
    )
    size = sum(len(str(constant).encode()) for constant in constants)
    if size > _MAX_PARAMETER_BYTES:
        raise ConfigError(
            f"The parameters of {name} take {size:,} bytes, but Kubeflow passes at most "
            f"{_MAX_PARAMETER_BYTES:,}. Store the vector in one list column instead of thousands "
            "of columns."
        )


def _configure_container(container: dict[str, Any], requested: StepResources) -> None:
    # The compiled arguments contain the number of CPUs of this machine.
    threads = max(1, min(_MAX_THREADS, int(requested.cpus or 1)))
    container["args"] = [
        f"--direct_num_workers={threads}" if arg.startswith("--direct_num_workers=") else arg
        for arg in container["args"]
    ]
    resources: dict[str, Any] = {}
    for kind, amount in (("Cpu", requested.cpus), ("Memory", requested.memory)):
        if amount is not None:
            text = f"{amount:g}" if isinstance(amount, float) else amount
            # Equal request and limit: the step is not the first to be evicted.
            resources |= {f"resource{kind}Request": text, f"resource{kind}Limit": text}
    if requested.gpus:
        accelerator = {"resourceType": _GPU_RESOURCE, "resourceCount": str(requested.gpus)}
        resources["accelerator"] = accelerator
    if resources:
        container["resources"] = resources


def _pvc_mount(volume: str) -> dict[str, Any]:
    claim, path = parse_volume(volume)
    return {"constant": claim, "mountPath": path}


def _check_parseable(text: str) -> None:
    """Parse the file as the backend and kfp do; an error here is a bug of the compiler."""
    from google.protobuf import json_format
    from kfp import components
    from kfp.pipeline_spec import pipeline_spec_pb2

    spec, *platforms = yaml.safe_load_all(text)
    json_format.ParseDict(spec, pipeline_spec_pb2.PipelineSpec())
    for executor in spec["deploymentSpec"]["executors"].values():
        json_format.ParseDict(executor, pipeline_spec_pb2.PipelineDeploymentConfig.ExecutorSpec())
    for document in platforms:
        json_format.ParseDict(document, pipeline_spec_pb2.PlatformSpec())
    components.load_component_from_text(text)
