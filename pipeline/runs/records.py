"""The runs of a root, as ML Metadata recorded them."""

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

TUNING = "tune-"  # what the names of its runs begin with
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
    pruned: bool = False  # its files have been deleted


_Artifacts = dict[str, tuple[ArtifactRecord, ...]]


@dataclasses.dataclass(frozen=True)
class StepRecord:
    """An execution: what went into it under which key, and what came out."""

    id: int
    name: str
    state: State
    started: datetime.datetime  # UTC
    seconds: float
    parameters: dict[str, Any]
    inputs: _Artifacts
    outputs: _Artifacts


@dataclasses.dataclass(frozen=True)
class RunRecord:
    """A run of a pipeline. Steps that were taken from the cache have their outputs as well."""

    name: str
    pipeline: str
    steps: tuple[StepRecord, ...]  # in the order in which they ran

    @property
    def unchanged(self) -> bool:
        """Whether all was taken from the cache."""
        return {step.state for step in self.steps} == {"cached"}

    @property
    def pruned(self) -> bool:
        """Whether files that it has made or used have been deleted since."""
        return any(artifact.pruned for artifact in self.artifacts)

    @property
    def artifacts(self) -> list[ArtifactRecord]:
        """All that went into its steps and came out of them, some more than once."""
        sides = (side for step in self.steps for side in (step.inputs, step.outputs))
        return [artifact for side in sides for several in side.values() for artifact in several]

    def step(self, name: str) -> StepRecord | None:
        """The step of a name, if the run came to it."""
        return next((step for step in self.steps if step.name == name), None)

    def output(self, step: str, key: str) -> ArtifactRecord | None:
        """What a step gave under a key; None where the run did not come to it."""
        found = self.step(step)
        given = found.outputs.get(key, ()) if found and found.state in ("ran", "cached") else ()
        return given[0] if given else None


def read_runs(root: Path) -> list[RunRecord]:
    """All runs of a root, the newest last, but those in which ``diptych tune`` drew pairs.

    Takes two small queries a run, and some for all of them together.

    Raises:
      ConfigError: the folder is no root of runs, or its database cannot be read.
    """
    with _opened(root) as store:
        contexts = [
            (context, pipeline.name)
            for pipeline in store.get_contexts_by_type("pipeline")
            for context in store.get_children_contexts_by_context(pipeline.id)
            if context.type == "pipeline_run" and not context.name.startswith(TUNING)
        ]
        contexts.sort(key=lambda pair: (pair[0].create_time_since_epoch, pair[0].id))
        return _records(store, contexts)


def read_run(root: Path, name: str) -> RunRecord:
    """The run of a name, which is there; also one of ``diptych tune``."""
    with _opened(root) as store:
        context = store.get_context_by_type_and_name("pipeline_run", name)
        (pipeline,) = store.get_parent_contexts_by_context(context.id)
        return _records(store, [(context, pipeline.name)])[0]


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
        what = "no run begins" if not found else f"{len(found)} runs begin"
        raise ConfigError(f"Needed is one run, and {what} with {name!r}. The last: {known}.")
    return found[0]


@contextlib.contextmanager
def _opened(root: Path) -> Iterator[Any]:
    database = root / DATABASE
    if not database.is_file():
        raise ConfigError(
            f"{root} is no root of runs: it has no {DATABASE}. Name the folder that diptych run "
            "was given as --root, by default diptych-NAME."
        )
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(database)
    connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READONLY
    try:
        yield metadata_store.MetadataStore(connection)
    except (errors.StatusError, RuntimeError) as error:  # the latter when it opens a file
        what = " ".join(str(error).partition(" query:  ")[0].split())  # without the SQL
        raise ConfigError(
            f"{database} cannot be read: it is damaged, or not of ML Metadata ({what})."
        ) from error


def _records(store: Any, contexts: list[tuple[Any, str]]) -> list[RunRecord]:
    executions = {
        context.id: sorted(store.get_executions_by_context(context.id), key=lambda each: each.id)
        for context, _ in contexts
    }
    names = {
        execution.id: node.name.rpartition(".")[2]
        for node in store.get_contexts_by_type("node")
        for execution in store.get_executions_by_context(node.id)
    }
    linked = _links(store, [each.id for some in executions.values() for each in some])

    def step(execution: Any) -> StepRecord:
        started = execution.create_time_since_epoch
        inputs, outputs = linked.get(execution.id, ({}, {}))
        return StepRecord(
            id=execution.id,
            name=names[execution.id],
            state=_STATES.get(execution.last_known_state, "failed"),
            started=datetime.datetime.fromtimestamp(started / 1000, datetime.UTC),
            seconds=(execution.last_update_time_since_epoch - started) / 1000,
            parameters=_values(execution.custom_properties),
            inputs=inputs,
            outputs=outputs,
        )

    return [
        RunRecord(context.name, pipeline, tuple(step(each) for each in executions[context.id]))
        for context, pipeline in contexts
        if executions[context.id]  # of one that did not come to a step, nothing can be said
    ]


def _links(store: Any, executions: list[int]) -> dict[int, tuple[_Artifacts, _Artifacts]]:
    """What went into each execution, and what came out of it."""
    if not executions:
        return {}
    events = store.get_events_by_execution_ids(executions)
    types = {each.id: each.name for each in store.get_artifact_types()}
    artifacts = {
        artifact.id: ArtifactRecord(
            artifact.id,
            types[artifact.type_id],
            Path(artifact.uri),
            _values(artifact.custom_properties),
            artifact.state == metadata_store_pb2.Artifact.DELETED,
        )
        for artifact in store.get_artifacts_by_id(sorted({event.artifact_id for event in events}))
    }
    linked: dict[int, tuple[_Artifacts, _Artifacts]] = {}
    for event in events:
        inputs, outputs = linked.setdefault(event.execution_id, ({}, {}))
        for kinds, found in ((_INPUTS, inputs), (_OUTPUTS, outputs)):
            if event.type in kinds:
                key = event.path.steps[0].key
                found[key] = (*found.get(key, ()), artifacts[event.artifact_id])
    return linked


def _values(properties: Any) -> dict[str, Any]:
    return {name: getattr(value, value.WhichOneof("value")) for name, value in properties.items()}
