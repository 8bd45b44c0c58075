"""Run records, read from ML Metadata."""

import contextlib
import dataclasses
import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from ml_metadata import errors, metadata_store
from ml_metadata.proto import metadata_store_pb2

from diptych.pipeline.workspace import DATABASE
from diptych.schemas.errors import ConfigError

TUNING_RUN_PREFIX = "tune-"  # of the runs in which ``diptych tune`` generates pairs
_INPUT_EVENTS = (metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.DECLARED_INPUT)
_OUTPUT_EVENTS = (metadata_store_pb2.Event.OUTPUT, metadata_store_pb2.Event.DECLARED_OUTPUT)
_Execution = metadata_store_pb2.Execution
_STEP_STATES: dict[int, "StepState"] = {
    _Execution.COMPLETE: "ran",
    _Execution.CACHED: "cached",
    _Execution.RUNNING: "running",
    _Execution.NEW: "running",
    _Execution.FAILED: "failed",
    _Execution.CANCELED: "failed",
}
StepState = Literal["ran", "cached", "running", "failed"]


@dataclasses.dataclass(frozen=True)
class ArtifactRecord:
    """An artifact with its custom properties."""

    id: int
    type: str
    path: Path
    properties: dict[str, Any]
    pruned: bool = False  # its files have been deleted


_ArtifactsByKey = dict[str, tuple[ArtifactRecord, ...]]


@dataclasses.dataclass(frozen=True)
class StepRecord:
    """An execution of a step, with its inputs and outputs by key."""

    id: int
    name: str
    state: StepState
    started: datetime.datetime  # UTC
    seconds: float
    parameters: dict[str, Any]
    inputs: _ArtifactsByKey
    outputs: _ArtifactsByKey


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """A run of a pipeline. Cached steps have the outputs of the execution that they reuse."""

    name: str
    pipeline: str
    steps: tuple[StepRecord, ...]  # in execution order

    @property
    def unchanged(self) -> bool:
        """True if all steps were cached."""
        return {step.state for step in self.steps} == {"cached"}

    @property
    def pruned(self) -> bool:
        """True if files that the run wrote or used have been deleted."""
        return any(artifact.pruned for artifact in self.artifacts)

    @property
    def artifacts(self) -> list[ArtifactRecord]:
        """Inputs and outputs of all steps, with duplicates."""
        by_key = (artifacts for step in self.steps for artifacts in (step.inputs, step.outputs))
        return [
            artifact for each in by_key for artifacts in each.values() for artifact in artifacts
        ]

    def step(self, name: str) -> StepRecord | None:
        """Return the step with this name, or None if it did not start."""
        return next((step for step in self.steps if step.name == name), None)

    def output(self, step: str, key: str) -> ArtifactRecord | None:
        """Return the output of a step, or None if the step did not complete."""
        record = self.step(step)
        complete = record is not None and record.state in ("ran", "cached")
        artifacts = record.outputs.get(key, ()) if record and complete else ()
        return artifacts[0] if artifacts else None


def read_runs(root: Path) -> list[RunRecord]:
    """Read all runs of a pipeline root, the newest last, without those of ``diptych tune``.

    Takes one query per run and a constant number of queries for each pipeline.

    Raises:
      ConfigError: If the folder is not a pipeline root, or its database cannot be read.
    """
    with _open_metadata_store(root) as store:
        contexts = [
            (context, pipeline.name)
            for pipeline in store.get_contexts_by_type("pipeline")
            for context in store.get_children_contexts_by_context(pipeline.id)
            if context.type == "pipeline_run" and not context.name.startswith(TUNING_RUN_PREFIX)
        ]
        contexts.sort(key=lambda pair: (pair[0].create_time_since_epoch, pair[0].id))
        return _load_run_records(store, contexts)


def read_run(root: Path, name: str) -> RunRecord:
    """Read an existing run by its exact name, which may be one of ``diptych tune``."""
    with _open_metadata_store(root) as store:
        context = store.get_context_by_type_and_name("pipeline_run", name)
        (pipeline,) = store.get_parent_contexts_by_context(context.id)
        return _load_run_records(store, [(context, pipeline.name)])[0]


def find_run(runs: list[RunRecord], name: str) -> RunRecord:
    """Select a run by its name or a unique prefix of it; ``latest`` selects the newest.

    Raises:
      ConfigError: If no run matches, or more than one.
    """
    if not runs:
        raise ConfigError("This root has no runs yet. Start one with diptych run.")
    if name == "latest":
        return runs[-1]
    exact = [run for run in runs if run.name == name]
    matches = exact or [run for run in runs if run.name.startswith(name)]
    if len(matches) != 1:
        newest = ", ".join(run.name for run in runs[-5:])
        number = f"{len(matches)} runs match" if matches else "No run matches"
        raise ConfigError(
            f"{number} {name!r}. Give the name of one run, a unique prefix of it, or latest. "
            f"Newest runs: {newest}."
        )
    return matches[0]


@contextlib.contextmanager
def _open_metadata_store(root: Path) -> Iterator[Any]:
    database = root / DATABASE
    if not database.is_file():
        raise ConfigError(
            f"{root} is not a pipeline root: it has no {DATABASE}. Give the --root of diptych run, "
            "by default diptych-NAME."
        )
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(database)
    connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    try:
        yield metadata_store.MetadataStore(connection)
    except (errors.StatusError, RuntimeError) as error:  # RuntimeError when it opens the file
        cause = " ".join(str(error).partition(" query:  ")[0].split())  # without the SQL
        raise ConfigError(
            f"{database} cannot be read: it is damaged or not an ML Metadata database ({cause}). "
            "Restore it from a backup, or use another root."
        ) from error


def _load_run_records(store: Any, contexts: list[tuple[Any, str]]) -> list[RunRecord]:
    executions = {
        context.id: sorted(store.get_executions_by_context(context.id), key=lambda each: each.id)
        for context, _ in contexts
    }
    names = {
        execution.id: node.name.rpartition(".")[2]
        for node in store.get_contexts_by_type("node")
        for execution in store.get_executions_by_context(node.id)
    }
    artifacts = _load_step_artifacts(
        store, [each.id for values in executions.values() for each in values]
    )

    def step(execution: Any) -> StepRecord:
        started = execution.create_time_since_epoch
        inputs, outputs = artifacts.get(execution.id, ({}, {}))
        return StepRecord(
            id=execution.id,
            name=names[execution.id],
            state=_STEP_STATES.get(execution.last_known_state, "failed"),
            started=datetime.datetime.fromtimestamp(started / 1000, datetime.UTC),
            seconds=(execution.last_update_time_since_epoch - started) / 1000,
            parameters=_property_values(execution.custom_properties),
            inputs=inputs,
            outputs=outputs,
        )

    return [
        RunRecord(context.name, pipeline, tuple(step(each) for each in executions[context.id]))
        for context, pipeline in contexts
        if executions[context.id]  # a run that started no step has no values to report
    ]


def _load_step_artifacts(
    store: Any, executions: list[int]
) -> dict[int, tuple[_ArtifactsByKey, _ArtifactsByKey]]:
    """Load the inputs and outputs of each execution."""
    if not executions:
        return {}
    events = store.get_events_by_execution_ids(executions)
    types = {each.id: each.name for each in store.get_artifact_types()}
    artifacts = {
        artifact.id: ArtifactRecord(
            artifact.id,
            types[artifact.type_id],
            Path(artifact.uri),
            _property_values(artifact.custom_properties),
            artifact.state == metadata_store_pb2.Artifact.DELETED,
        )
        for artifact in store.get_artifacts_by_id(sorted({event.artifact_id for event in events}))
    }
    linked: dict[int, tuple[_ArtifactsByKey, _ArtifactsByKey]] = {}
    for event in events:
        inputs, outputs = linked.setdefault(event.execution_id, ({}, {}))
        for event_types, by_key in ((_INPUT_EVENTS, inputs), (_OUTPUT_EVENTS, outputs)):
            if event.type in event_types:
                key = event.path.steps[0].key
                by_key[key] = (*by_key.get(key, ()), artifacts[event.artifact_id])
    return linked


def _property_values(properties: Any) -> dict[str, Any]:
    return {name: getattr(value, value.WhichOneof("value")) for name, value in properties.items()}
