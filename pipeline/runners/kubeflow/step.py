"""What a container on Kubeflow runs for a step: TFX's entry point, on files and with types.

``python -m diptych.pipeline.runners.kubeflow.step`` takes the arguments of TFX's own. It gives the
step paths in place of the addresses of buckets, see ``bucket_paths``, and turns the paths in what
the step says of its outputs into addresses again. The open-source backend needs three things more:

- It names no types of input artifacts, and TFX cannot read those without: the types that the
  pipeline declares are filled in.
- It makes the folder above an output; TFX's local launcher, the output itself.
- It cannot record a property without a value.
"""

import argparse
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from diptych.pipeline.runners.kubeflow.bucket_paths import bucket_address, local_path
from diptych.schemas.errors import DiptychError
from diptych.schemas.files import whole_file

_INPUT, _SPEC = "--json_serialized_invocation_args", "--json_serialized_inputs_spec_args"


def with_paths(text: str, spec: str, mounts: str) -> Any:
    """The ``ExecutorInput`` as TFX can use it.

    Args:
      text: JSON of it, as the backend gives it.
      spec: JSON of the ``ComponentInputsSpec``, with the types of the inputs.
      mounts: see ``places.local_path``.
    """
    given, declared = pipeline_spec_pb2.ExecutorInput(), pipeline_spec_pb2.ComponentInputsSpec()
    json_format.Parse(text, given, ignore_unknown_fields=True)
    json_format.Parse(spec, declared, ignore_unknown_fields=True)
    for name, artifacts in given.inputs.artifacts.items():
        for artifact in artifacts.artifacts:
            if artifact.type.WhichOneof("kind") is None:
                artifact.type.CopyFrom(declared.artifacts[name].artifact_type)
    for artifacts in (given.inputs.artifacts, given.outputs.artifacts):
        _rewrite(artifacts, lambda address: local_path(address, mounts))
    given.outputs.output_file = local_path(given.outputs.output_file, mounts)
    return given


def with_addresses(text: str, mounts: str) -> Any:
    """The ``ExecutorOutput`` as the backend can use it; the JSON of it is TFX's."""
    said = pipeline_spec_pb2.ExecutorOutput()
    json_format.Parse(text, said)
    _rewrite(said.artifacts, lambda path: bucket_address(path, mounts))
    return said


def _rewrite(artifacts: Any, place: Callable[[str], str]) -> None:
    """Addresses and properties that are addresses; properties without a value are dropped."""
    for listed in artifacts.values():
        for artifact in listed.artifacts:
            artifact.uri = place(artifact.uri)
            for name, value in list(artifact.metadata.items()):
                if value is None:
                    del artifact.metadata[name]
                elif isinstance(value, str):
                    artifact.metadata[name] = place(value)


def _empty_folders(outputs: Any) -> None:
    """Where the step writes; a try before this one may have left something there."""
    for listed in outputs.artifacts.values():
        for artifact in listed.artifacts:
            shutil.rmtree(artifact.uri, ignore_errors=True)
            Path(artifact.uri).mkdir(parents=True)


def main() -> None:
    """Runs the step that the arguments describe."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument(_INPUT, dest="given", required=True)
    parser.add_argument(_SPEC, dest="spec", required=True)
    parser.add_argument("--mounts", default="", help="folder of gcs/, s3/ and minio/")
    ours, others = parser.parse_known_args()
    given = with_paths(ours.given, ours.spec, ours.mounts)
    _empty_folders(given.outputs)

    from absl import app
    from tfx.orchestration.kubeflow.v2.container import kubeflow_v2_run_executor as tfx_entry

    def run(arguments: Any) -> None:
        try:
            tfx_entry.main(arguments)
        except DiptychError as error:
            sys.exit(f"Error: {' '.join(str(error).split())}")
        output = Path(given.outputs.output_file)
        said = with_addresses(output.read_text(encoding="utf-8"), ours.mounts)
        with whole_file(output) as beside:
            beside.write_text(json_format.MessageToJson(said), encoding="utf-8")

    arguments = [_INPUT, json_format.MessageToJson(given), _SPEC, ours.spec, *others]
    app.run(run, argv=[sys.argv[0], *arguments], flags_parser=tfx_entry._parse_flags)


if __name__ == "__main__":
    main()
