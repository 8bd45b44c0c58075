"""Local runner: run the steps on this machine, one after the other."""

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

from diptych.schemas.cleanup import note_cleanup_error


class StepOutcome(enum.Enum):
    """Result of a launched step: computed, or taken from the cache."""

    RAN = "ran"
    CACHED = "cached"


def run_locally(
    pipeline: Pipeline,
    run: str,
    on_start: Callable[[str], None],
    on_end: Callable[[str, StepOutcome], None],
    last_step: str | None = None,
) -> None:
    """Launch each step as TFX's LocalDagRunner does, which does not report its progress.

    If ML Metadata has a run of this name, the run is resumed: complete steps are not launched
    again, and an interrupted step starts again from the beginning.

    Args:
      pipeline: Pipeline with a metadata connection.
      run: Name of the run.
      on_start: Called before each step with its name.
      on_end: Called after each step with its name and outcome.
      last_step: Step to stop after; None runs all steps.

    Raises:
      Exception: As raised by a step. The steps before it stay in the cache.
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
        if _is_complete(program, node.pipeline_node, connection, run):
            if name == last_step:
                return
            continue
        on_start(name)
        executor = runner_utils.extract_executor_spec(deployment, name)
        step_launcher = launcher.Launcher(
            pipeline_node=node.pipeline_node,
            mlmd_connection=metadata.Metadata(connection),
            pipeline_info=program.pipeline_info,
            pipeline_runtime_spec=program.runtime_spec,
            executor_spec=clear_beam_args(executor),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
            custom_executor_operators={BeamExecutableSpec: _beam_operator(executor)},
        )
        execution = _launch(step_launcher)
        on_end(name, _step_outcome(connection, execution))
        if name == last_step:
            return


def _launch(step_launcher: Any) -> Any:
    """Launch a step. An error of the executor is raised as it is, whatever fails after it.

    After an error, TFX removes the output folders, records the failure and removes its temporary
    folder. An exception on the way, such as that of a step that has removed its own output folder,
    would replace the error.
    """
    operator = step_launcher._executor_operator
    if operator is None:  # a node without an executor
        return step_launcher.launch()
    run_executor, errors = operator.run_executor, list[Exception]()

    def run_and_keep_error(execution_info: Any) -> Any:
        try:
            return run_executor(execution_info)
        except Exception as error:
            errors.append(error)
            raise

    operator.run_executor = run_and_keep_error
    try:
        return step_launcher.launch()
    except Exception as error:
        if not errors or error is errors[0]:
            raise
        cleanup_error = error
    note_cleanup_error(errors[0], cleanup_error)
    raise errors[0]


def _is_complete(program: Any, node: Any, connection: Any, run: str) -> bool:
    """Return whether the run has completed the step; delete the outputs of an interrupted attempt.

    TFX would reuse the same output folders, so files of the first attempt would become results.
    """
    names = {
        "pipeline_run": run,
        "node": f"{program.pipeline_info.id}.{node.node_info.id}",
    }
    with metadata.Metadata(connection) as handle:
        contexts = [handle.store.get_context_by_type_and_name(*name) for name in names.items()]
        if None in contexts:
            return False
        executions = execution_lib.get_executions_associated_with_all_contexts(handle, contexts)
    for execution in executions:
        if execution_lib.is_execution_successful(execution):
            return True
        outputs = outputs_utils.OutputsResolver(node, program.pipeline_info, program.runtime_spec)
        for artifacts in outputs.generate_output_artifacts(execution.id).values():
            for artifact in artifacts:
                shutil.rmtree(artifact.uri, ignore_errors=True)
    return False


def clear_beam_args(executor: Any) -> Any:
    """Return a copy of the executor spec without Beam's arguments.

    TFX's cache key covers the complete executor spec. The engine changes no result, so a change of
    engine should not re-run a step.
    """
    if not isinstance(executor, BeamExecutableSpec):
        return executor
    cleared = BeamExecutableSpec()
    cleared.CopyFrom(executor)
    cleared.ClearField("beam_pipeline_args")
    cleared.ClearField("beam_pipeline_args_placeholders")
    return cleared


def _beam_operator(executor: Any) -> Callable[..., Any]:
    """Return an operator factory that uses this executor spec instead of the launcher's."""

    def operator(executor_spec: Any, platform_config: Any) -> Any:
        return BeamExecutorOperator(executor, platform_config)

    return operator


def _step_outcome(connection: Any, execution: Any) -> StepOutcome:
    with metadata.Metadata(connection) as handle:
        (stored,) = handle.store.get_executions_by_id([execution.execution_id])
    if stored.last_known_state == metadata_store_pb2.Execution.CACHED:
        return StepOutcome.CACHED
    return StepOutcome.RAN
