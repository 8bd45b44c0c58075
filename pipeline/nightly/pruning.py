"""Deletion of old runs and versions, safe against a kill at any moment.

Artifacts are first marked as deleted in ML Metadata, whose cache then never returns them. Each
folder is renamed into a hidden trash folder before it is deleted; the next call deletes the rest.
"""

import dataclasses
import logging
import os
import shutil
from pathlib import Path

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from diptych.pipeline.nightly.retention import RetentionPlan, plan_retention
from diptych.pipeline.runs.records import read_runs
from diptych.pipeline.workspace import DATABASE
from diptych.schemas.config.nightly import NightlyConfig
from diptych.schemas.night import NIGHTS_FOLDER
from diptych.schemas.versions import list_rolled_back, list_versions, newest_version

_TRASH = ".trash"
_log = logging.getLogger("diptych")


@dataclasses.dataclass(frozen=True)
class PruneCounts:
    """Numbers of deleted runs and pushed versions."""

    runs: int
    versions: int


def prune(root: Path, serving: Path, pipeline: str, config: NightlyConfig) -> PruneCounts:
    """Delete the runs and versions that ``keep_runs`` and ``keep_versions`` do not keep.

    The caller holds the lock of the root.

    Args:
      root: Pipeline root.
      serving: Folder of pushed versions.
      pipeline: Name of the pipeline whose runs are pruned.
      config: Section with ``keep_runs`` and ``keep_versions``.

    Raises:
      ConfigError: If the database cannot be read.
      OSError: If a folder cannot be moved.
    """
    production = newest_version(serving)
    version = None if production is None else production.name
    plan = plan_retention(read_runs(root), pipeline, config.keep_runs, version)
    artifacts = root / "artifacts"
    # If the root was moved, the recorded paths of its artifacts are outside of it.
    inside = [each for each in plan.artifacts if each.path.is_relative_to(artifacts)]
    _mark_deleted(root / DATABASE, [each.id for each in inside if not each.pruned])
    run_files = _list_run_files(root, plan)
    _delete_via_trash(
        root,
        [
            *run_files,
            *(each.path for each in inside if each.path.exists()),
            *_list_unrecorded(artifacts, plan),
        ],
    )
    old_versions = [
        path
        for versions in (list_versions(serving), list_rolled_back(serving))
        for path in versions[: -config.keep_versions]
        if path.name not in plan.protected_versions
    ]
    _delete_via_trash(serving, old_versions)
    return PruneCounts(sum(path.parent.name == "runs" for path in run_files), len(old_versions))


def _list_run_files(root: Path, plan: RetentionPlan) -> list[Path]:
    """List the folders of pruned runs and the files of their nights.

    The folder of a run that failed before its first step is included if it is old.
    """
    pruned, kept = ({run.name for run in runs} for runs in (plan.pruned, plan.kept))
    paths = [*(root / "runs").glob("*"), *(root / NIGHTS_FOLDER).glob("*.json")]
    names = {path: path.name.removesuffix(".json") for path in paths}
    return [
        path
        for path, name in names.items()
        if name in pruned or (name not in kept and _is_old(path, plan))
    ]


def _list_unrecorded(artifacts: Path, plan: RetentionPlan) -> list[Path]:
    """List files without a record: outputs of interrupted steps, and old checkpoints.

    A checkpoint is used by a run with the same pairs, which are pruned with their run.
    """
    steps = [step for run in plan.pruned for step in run.steps]
    complete, interrupted = (
        {str(step.id) for step in steps if (step.state in ("ran", "cached")) == is_complete}
        for is_complete in (True, False)
    )
    outputs = [path for path in artifacts.glob("*/*/*") if path.name in interrupted]
    system_folders = [
        path for path in artifacts.glob("*/.system/*/*") if path.name in complete | interrupted
    ]
    checkpoints = [path for path in artifacts.glob("Trainer/checkpoints/*") if _is_old(path, plan)]
    return [*outputs, *system_folders, *checkpoints]


def _is_old(path: Path, plan: RetentionPlan) -> bool:
    """Return whether nothing was written to it since ``plan.keep_since``."""
    if plan.keep_since is None:
        return False
    paths = [path, *path.rglob("*")]
    return max(each.lstat().st_mtime for each in paths) < plan.keep_since.timestamp()


def _mark_deleted(database: Path, artifact_ids: list[int]) -> None:
    if not artifact_ids:
        return
    connection = metadata_store_pb2.ConnectionConfig()
    connection.sqlite.filename_uri = str(database)
    connection.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE
    store = metadata_store.MetadataStore(connection)
    artifacts = store.get_artifacts_by_id(artifact_ids)
    for artifact in artifacts:
        artifact.state = metadata_store_pb2.Artifact.DELETED
    store.put_artifacts(artifacts)


def _delete_via_trash(parent: Path, paths: list[Path]) -> None:
    """Delete files and folders below ``parent``, and what a killed process left in the trash."""
    trash = parent / _TRASH
    if paths:
        trash.mkdir(exist_ok=True)
    for path in paths:
        path.rename(trash / f"{path.name}-{os.urandom(8).hex()}")
    shutil.rmtree(trash, ignore_errors=True)
    if trash.exists():
        _log.warning("%s could not be deleted; check its permissions and delete it", trash)
