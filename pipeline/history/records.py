"""The runs of a root, as ML Metadata recorded them."""

import dataclasses
import datetime
from pathlib import Path
from typing import Any, Literal

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from diptych.schemas.errors import ConfigError

_DATABASE = "metadata.sqlite"
_INPUTS = (metadata_store_pb2.Event.INPUT, metadata_store_pb2.Event.DECLARED_INPUT)
_OUTPUTS = (metadata_store_pb2.Event.OUTPUT, metadata_store_pb2.Event.DECLARED_OUTPUT)
_Execution = metadata_store_pb2.Execution
_STATES: dict[int, "State"] = {
    _Execution.COMPLETE: "ran",
    _Execution.CACHED: "cached",
    _Execution.RUNNING: "running",
    _Execution.NEW: "running",
    _Execution.FAILED: "failed",
    _Execution.CANCELED: "failed",
}
State = Literal["ran", "cached", "running", "failed"]


@dataclasses.dataclass(frozen=True)
class ArtifactRecord:
    """An artifact; ``properties`` are its custom ones."""

    id: int
    type: str
    path: Path
    properties: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class StepRecord:
    """An execution: what went into it under which key, and what came out."""

    name: str
    state: State
    started: datetime.datetime  # UTC
    seconds: float
    parameters: dict[str, Any]
    inputs: dict[str, tuple[ArtifactRecord, ...]]
    outputs: dict[str, tuple[ArtifactRecord, ...]]


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """A run of a pipeline. Steps that were taken from the cache have their outputs as well."""

    name: str
    pipeline: str
    steps: tuple[StepRecord, ...]  # in the order in which they ran

    def step(self, name: str) -> StepRecord | None:
        """The step of a name, if the run came to it."""
        return next((step for step in self.steps if step.name == name), None)

    def output(self, step: str, key: str) -> ArtifactRecord | None:
        """What a step gave under a key; None where the run did not come to it."""
        found = self.step(step)
        given = found.outputs.get(key, ()) if found and found.state in ("ran", "cached") else ()
        return given[0] if given else None


def read_runs(root: Path) -> list[RunRecord]:
    """All runs of a root, the newest last.

    Raises:
      ConfigError: the folder is no root of runs.
    """
    database = root / _DATABASE
    if not database.is_file():
        raise ConfigError(
            f"{root} is no root of runs: it has no {_DATABASE}. Name the folder that diptych run "
            "was given as --root (by default diptych-NAME)."
        )
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(database)
    connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    store = metadata_store.MetadataStore(connection)
    runs = []
    for context in store.get_contexts_by_type("pipeline_run"):
        (pipeline,) = store.get_parent_contexts_by_context(context.id)
        executions = store.get_executions_by_context(context.id)
        steps = _steps(store, sorted(executions, key=lambda execution: execution.id))
        runs.append(
            (context.create_time_since_epoch, RunRecord(context.name, pipeline.name, steps))
        )
    return [run for _, run in sorted(runs, key=lambda pair: pair[0])]


def find_run(runs: list[RunRecord], name: str) -> RunRecord:
    """The run of a name, or of the beginning of one; ``latest`` is the newest.

    Raises:
      ConfigError: there is none, or more than one.
    """
    if not runs:
        raise ConfigError("There are no runs yet.")
    if name == "latest":
        return runs[-1]
    exact = [run for run in runs if run.name == name]
    found = exact or [run for run in runs if run.name.startswith(name)]
    if len(found) != 1:
        known = ", ".join(run.name for run in runs[-5:])
        what = "no run" if not found else f"{len(found)} runs"
        raise ConfigError(f"Needed is one run, and {what} begin with {name!r}. The last: {known}.")
    return found[0]


def _steps(store: Any, executions: list[Any]) -> tuple[StepRecord, ...]:
    types = {each.id: each.name for each in store.get_artifact_types()}
    events = store.get_events_by_execution_ids([execution.id for execution in executions])
    ids = sorted({event.artifact_id for event in events})
    artifacts = {
        artifact.id: ArtifactRecord(
            artifact.id,
            types[artifact.type_id],
            Path(artifact.uri),
            _values(artifact.custom_properties),
        )
        for artifact in store.get_artifacts_by_id(ids)
    }

    def linked(execution: Any, kinds: tuple[int, ...]) -> dict[str, tuple[ArtifactRecord, ...]]:
        found: dict[str, tuple[ArtifactRecord, ...]] = {}
        for event in events:
            if event.execution_id == execution.id and event.type in kinds:
                key = event.path.steps[0].key
                found[key] = (*found.get(key, ()), artifacts[event.artifact_id])
        return found

    steps = []
    for execution in executions:
        node = next(
            context.name
            for context in store.get_contexts_by_execution(execution.id)
            if context.type == "node"
        )
        took = execution.last_update_time_since_epoch - execution.create_time_since_epoch
        steps.append(
            StepRecord(
                name=node.partition(".")[2],
                state=_STATES.get(execution.last_known_state, "failed"),
                started=datetime.datetime.fromtimestamp(
                    execution.create_time_since_epoch / 1000, datetime.UTC
                ),
                seconds=took / 1000,
                parameters=_values(execution.custom_properties),
                inputs=linked(execution, _INPUTS),
                outputs=linked(execution, _OUTPUTS),
            )
        )
    return tuple(steps)


def _values(properties: Any) -> dict[str, Any]:
    return {name: getattr(value, value.WhichOneof("value")) for name, value in properties.items()}
