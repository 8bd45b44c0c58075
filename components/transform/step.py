"""TFX's Transform, in a folder of any name."""

from pathlib import Path
from typing import Any

from tfx import types
from tfx.components.transform import component, executor
from tfx.dsl.components.base import executor_spec
from tfx.types import artifact_utils

from diptych.components.common.plain_paths import plain_path


class TransformExecutor(executor.Executor):
    """Write the transform graph through a path that TensorFlow does not read as a pattern."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the step."""
        graph = artifact_utils.get_single_instance(output_dict["transform_graph"])
        uri = graph.uri
        with plain_path(Path(uri)) as plain:
            graph.uri = str(plain)
            try:
                super().Do(input_dict, output_dict, exec_properties)
            finally:
                graph.uri = uri


class Transform(component.Transform):
    """TFX's component with this executor."""

    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(TransformExecutor)
