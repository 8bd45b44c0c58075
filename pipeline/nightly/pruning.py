"""Deletes what former runs have left, so that a kill at any moment leaves nothing half deleted.

ML Metadata is told first: its cache gives out no artifact that is marked as deleted. Then each
folder goes into a hidden one by a rename, and only there it is deleted, now or the next time.
"""

import dataclasses
import logging
import os
import shutil
from pathlib import Path

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from diptych.pipeline.nightly.retention import Retention, decide
from diptych.pipeline.runs.records import read_runs
from diptych.pipeline.workspace import DATABASE
from diptych.schemas.config.nightly import Nightly
from diptych.schemas.versions import newest, rolled_back, versions

_TRASH = ".trash"
_log = logging.getLogger("diptych")


@dataclasses.dataclass(frozen=True)
class Pruned:
    """How many runs and pushed versions went."""

    runs: int
    versions: int


def prune(root: Path, serving: Path, pipeline: str, settings: Nightly) -> Pruned:
    """Deletes what ``keep_runs`` and ``keep_versions`` do not keep.

    Nobody else may work in the root meanwhile: the caller holds its lock.

    Args:
      root: of the runs.
      serving: folder of pushed versions.
      pipeline: whose runs these are.
      settings: how much is kept.

    Raises:
      ConfigError: the database cannot be read.
      OSError: a folder cannot be moved.
    """
    production = newest(serving)
    number = None if production is None else production.name
    retention = decide(read_runs(root), pipeline, settings.keep_runs, number)
    artifacts = root / "artifacts"
    # A root that was moved has recorded its artifacts where they are no more.
    here = [each for each in retention.artifacts if each.path.is_relative_to(artifacts)]
    _mark_deleted(root / DATABASE, [each.id for each in here if not each.pruned])
    records = _records(root, retention)
    _discard(
        root,
        [
            *records,
            *(each.path for each in here if each.path.exists()),
            *_leftovers(artifacts, retention),
        ],
    )
    outdated = [
        path
        for found in (versions(serving), rolled_back(serving))
        for path in found[: -settings.keep_versions]
        if path.name not in retention.versions
    ]
    _discard(serving, outdated)
    return Pruned(sum(path.parent.name == "runs" for path in records), len(outdated))


def _records(root: Path, retention: Retention) -> list[Path]:
    """Folders of runs and files of nights; of those that came to no step, the old ones."""
    gone, kept = ({run.name for run in runs} for runs in (retention.gone, retention.kept))
    every = [*(root / "runs").glob("*"), *(root / "nights").glob("*.json")]
    names = {path: path.name.removesuffix(".json") for path in every}
    return [
        path
        for path, name in names.items()
        if name in gone or (name not in kept and _is_old(path, retention))
    ]


def _leftovers(artifacts: Path, retention: Retention) -> list[Path]:
    """What is recorded nowhere: of steps that were broken off, and checkpoints nobody goes on with.

    A checkpoint is gone on with by a run with the same pairs, which are pruned with their run.
    """
    steps = [step for run in retention.gone for step in run.steps]
    ended, broken = (
        {str(step.id) for step in steps if (step.state in ("ran", "cached")) == whole}
        for whole in (True, False)
    )
    outputs = [path for path in artifacts.glob("*/*/*") if path.name in broken]
    working = [path for path in artifacts.glob("*/.system/*/*") if path.name in ended | broken]
    checkpoints = [
        path for path in artifacts.glob("Trainer/unfinished/*") if _is_old(path, retention)
    ]
    return [*outputs, *working, *checkpoints]


def _is_old(path: Path, retention: Retention) -> bool:
    """Whether it was not written to since the oldest of the newest runs began."""
    if retention.since is None:
        return False
    inside = [path, *path.rglob("*")]
    return max(each.lstat().st_mtime for each in inside) < retention.since.timestamp()


def _mark_deleted(database: Path, artifacts: list[int]) -> None:
    if not artifacts:
        return
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(database)
    connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE
    store = metadata_store.MetadataStore(connection)
    found = store.get_artifacts_by_id(artifacts)
    for artifact in found:
        artifact.state = metadata_store_pb2.Artifact.DELETED
    store.put_artifacts(found)


def _discard(parent: Path, paths: list[Path]) -> None:
    """Deletes folders and files below a folder, and what a killed process has left of others."""
    trash = parent / _TRASH
    if paths:
        trash.mkdir(exist_ok=True)
    for path in paths:
        path.rename(trash / f"{path.name}-{os.urandom(8).hex()}")
    shutil.rmtree(trash, ignore_errors=True)
    if trash.exists():
        _log.warning("%s cannot be deleted, and takes up room", trash)
