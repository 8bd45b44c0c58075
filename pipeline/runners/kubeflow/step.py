"""Container entry point of a step on Kubeflow; it wraps TFX's entry point.

``python -P -m diptych.pipeline.runners.kubeflow.step`` takes the same arguments as TFX's entry
point. It passes local paths to the step instead of bucket URIs (see ``bucket_paths``), and converts
the paths in the outputs of the step back to URIs. It also adapts TFX to the open-source backend:

- The backend does not pass the types of input artifacts, which TFX requires. The types declared in
  the pipeline are added.
- The backend creates the parent folder of an output. TFX's local launcher creates the output folder
  itself, and the steps rely on it.
- The backend cannot record a property without a value. Such properties are dropped.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from diptych.components.common.local_connections import bypass_proxy_locally
from diptych.pipeline.runners.kubeflow.bucket_paths import bucket_uri, local_path
from diptych.schemas.errors import DiptychError
from diptych.schemas.files import atomic_write

_INPUT_OPTION = "--json_serialized_invocation_args"
_SPEC_OPTION = "--json_serialized_inputs_spec_args"


def to_local_input(text: str, spec: str, mounts: str) -> Any:
    """Convert the ``ExecutorInput`` of the backend for TFX: add types, and use local paths.

    Args:
      text: JSON of the ``ExecutorInput``.
      spec: JSON of the ``ComponentInputsSpec``, with the types of the inputs.
      mounts: As in ``bucket_paths.local_path``.
    """
    executor_input = pipeline_spec_pb2.ExecutorInput()
    declared = pipeline_spec_pb2.ComponentInputsSpec()
    json_format.Parse(text, executor_input, ignore_unknown_fields=True)
    json_format.Parse(spec, declared, ignore_unknown_fields=True)
    inputs, outputs = executor_input.inputs, executor_input.outputs
    for name, artifact_list in inputs.artifacts.items():
        for artifact in artifact_list.artifacts:
            if artifact.type.WhichOneof("kind") is None:
                artifact.type.CopyFrom(declared.artifacts[name].artifact_type)
    for artifacts in (inputs.artifacts, outputs.artifacts):
        _convert_uris(artifacts, lambda uri: local_path(uri, mounts))
    outputs.output_file = local_path(outputs.output_file, mounts)
    return executor_input


def to_bucket_output(text: str, mounts: str) -> Any:
    """Convert TFX's ``ExecutorOutput`` for the backend: use bucket URIs.

    Args:
      text: JSON of the ``ExecutorOutput``.
      mounts: As in ``bucket_paths.local_path``.
    """
    executor_output = pipeline_spec_pb2.ExecutorOutput()
    json_format.Parse(text, executor_output)
    _convert_uris(executor_output.artifacts, lambda path: bucket_uri(path, mounts))
    return executor_output


def _convert_uris(artifacts: Any, convert: Callable[[str], str]) -> None:
    """Convert URIs, also in text properties, in place; drop properties without a value."""
    for artifact_list in artifacts.values():
        for artifact in artifact_list.artifacts:
            artifact.uri = convert(artifact.uri)
            for name, value in list(artifact.metadata.items()):
                if value is None:
                    del artifact.metadata[name]
                elif isinstance(value, str):
                    artifact.metadata[name] = convert(value)


def _create_output_folders(outputs: Any) -> None:
    """Create empty output folders; a previous attempt may have written into them."""
    for artifact_list in outputs.artifacts.values():
        for artifact in artifact_list.artifacts:
            shutil.rmtree(artifact.uri, ignore_errors=True)
            Path(artifact.uri).mkdir(parents=True)


def main() -> None:
    """Run the step that the command line describes."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument(_INPUT_OPTION, dest="executor_input", required=True)
    parser.add_argument(_SPEC_OPTION, dest="spec", required=True)
    parser.add_argument("--mounts", default="", help="Folder that contains gcs/, s3/ and minio/.")
    options, tfx_arguments = parser.parse_known_args()
    bypass_proxy_locally()
    executor_input = to_local_input(options.executor_input, options.spec, options.mounts)
    _create_output_folders(executor_input.outputs)

    from absl import app
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor as tfx_entry

    def run(arguments: Any) -> None:
        try:
            tfx_entry.main(arguments)
        except DiptychError as error:
            sys.exit(f"Error: {' '.join(str(error).split())}")
        output_file = Path(executor_input.outputs.output_file)
        executor_output = to_bucket_output(output_file.read_text(encoding="utf-8"), options.mounts)
        with atomic_write(output_file) as tmp_path:
            tmp_path.write_text(json_format.MessageToJson(executor_output), encoding="utf-8")

    input_json = json_format.MessageToJson(executor_input)
    arguments = [_INPUT_OPTION, input_json, _SPEC_OPTION, options.spec, *tfx_arguments]
    app.run(run, argv=[sys.argv[0], *arguments], flags_parser=tfx_entry._parse_flags)


if __name__ == "__main__":
    main()
