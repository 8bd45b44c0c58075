"""Runs the pipeline on this machine, step by step, and tells how each went."""

import enum
import shutil
from collections.abc import Callable
from typing import Any

from ml_metadata.proto import metadata_store_pb2
from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import launcher, outputs_utils, runtime_parameter_utils
from tfx.orchestration.portable.beam_executor_operator import BeamExecutorOperator
from tfx.orchestration.portable.mlmd import execution_lib
from tfx.proto.orchestration.executable_spec_pb2 import BeamExecutableSpec


class Outcome(enum.Enum):
    """How a step ended."""

    RAN = "ran"
    CACHED = "cached"


def run_locally(
    pipeline: Pipeline,
    run: str,
    on_start: Callable[[str], None],
    on_end: Callable[[str, Outcome], None],
    last: str | None = None,
) -> None:
    """Launches each step as TFX's LocalDagRunner does, which tells nothing of its progress.

    Args:
      pipeline: with a metadata connection.
      run: its name. A run of that name that is in the database already is gone on with: what it
        has done is not launched again, what it broke off starts afresh.
      on_start: called with the name of a step before it.
      on_end: called with the name and the outcome of a step after it.
      last: the step to end with; None: all are run.

    Raises:
      Whatever a step raises; the steps before it stay in the cache.
    """
    program = compiler.Compiler().compile(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(
        program, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: run}
    )
    deployment = runner_utils.extract_local_deployment_config(program)
    connection: Any = getattr(
        deployment.metadata_connection_config,
        deployment.metadata_connection_config.WhichOneof("connection_config"),
    )
    for node in program.nodes:
        name = node.pipeline_node.node_info.id
        if _is_done(program, node.pipeline_node, connection, run):
            if name == last:
                return
            continue
        on_start(name)
        executor = runner_utils.extract_executor_spec(deployment, name)
        execution = launcher.Launcher(
            pipeline_node=node.pipeline_node,
            mlmd_connection=metadata.Metadata(connection),
            pipeline_info=program.pipeline_info,
            pipeline_runtime_spec=program.runtime_spec,
            executor_spec=_without_engine(executor),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
            custom_executor_operators={BeamExecutableSpec: _with_engine(executor)},
        ).launch()
        on_end(name, _outcome(connection, execution))
        if name == last:
            return


def _is_done(program: Any, node: Any, connection: Any, run: str) -> bool:
    """Whether a run has this step behind it; what it left of one that it broke off is removed.

    TFX would go on in the same folders, and files of the first attempt would pass for results.
    """
    names = {
        "pipeline_run": run,
        "node": f"{program.pipeline_info.id}.{node.node_info.id}",
    }
    with metadata.Metadata(connection) as handle:
        contexts = [handle.store.get_context_by_type_and_name(*name) for name in names.items()]
        if None in contexts:
            return False
        found = execution_lib.get_executions_associated_with_all_contexts(handle, contexts)
    for execution in found:
        if execution_lib.is_execution_successful(execution):
            return True
        outputs = outputs_utils.OutputsResolver(node, program.pipeline_info, program.runtime_spec)
        for artifacts in outputs.generate_output_artifacts(execution.id).values():
            for artifact in artifacts:
                shutil.rmtree(artifact.uri, ignore_errors=True)
    return False


def _without_engine(executor: Any) -> Any:
    """The executor without Beam's arguments: TFX's cache key is made from all that is in it.

    The engine changes no result, so a change of engine re-runs no step.
    """
    if not isinstance(executor, BeamExecutableSpec):
        return executor
    neutral = BeamExecutableSpec()
    neutral.CopyFrom(executor)
    neutral.ClearField("beam_pipeline_args")
    neutral.ClearField("beam_pipeline_args_placeholders")
    return neutral


def _with_engine(executor: Any) -> Callable[..., Any]:
    """Runs the executor as it was, whichever the launcher passes on."""

    def operator(executor_spec: Any, platform_config: Any) -> Any:
        return BeamExecutorOperator(executor, platform_config)

    return operator


def _outcome(connection: Any, execution: Any) -> Outcome:
    with metadata.Metadata(connection) as handle:
        (stored,) = handle.store.get_executions_by_id([execution.execution_id])
    if stored.last_known_state == metadata_store_pb2.Execution.CACHED:
        return Outcome.CACHED
    return Outcome.RAN
