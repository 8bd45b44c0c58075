"""Deletion of old runs and versions, safe against a kill at any moment.

Artifacts are first marked as deleted in ML Metadata, whose cache then never returns them. Each
folder is renamed into a hidden trash folder before it is deleted; the next call deletes the rest.

The database and the folders may have been changed by others. A path is deleted only if, with all
links and ".." resolved, it is where Diptych writes; see ``DELETABLE`` and ``VERSIONS``.
"""

import dataclasses
import logging
import os
import re
import shutil
from collections.abc import Iterable
from pathlib import Path

from ml_metadata import metadata_store
from ml_metadata.proto import metadata_store_pb2

from diptych.pipeline.nightly.retention import RetentionPlan, plan_retention
from diptych.pipeline.runs.records import read_runs
from diptych.pipeline.workspace import DATABASE
from diptych.schemas.config.nightly import NightlyConfig
from diptych.schemas.night import NIGHTS_FOLDER
from diptych.schemas.versions import (
    ROLLED_BACK_FOLDER,
    list_rolled_back,
    list_versions,
    newest_version,
)

_NAME = r"[^.].*"
ARTIFACT = ("artifacts", _NAME, _NAME, r"\d+")  # step, output, id of the execution
DELETABLE = (
    ARTIFACT,
    ("artifacts", _NAME, r"\.system", _NAME, r"\d+"),
    ("artifacts", "Trainer", "checkpoints", _NAME),
    ("runs", _NAME),
    (re.escape(NIGHTS_FOLDER), r"[^.].*\.json"),
)
"""What pruning deletes below a pipeline root, as patterns of the parts of its path."""
VERSIONS = ((r"\d+",), (re.escape(ROLLED_BACK_FOLDER), r"\d+"))
"""What pruning deletes below a folder of pushed versions."""

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
    # Also left out if the root was moved: the recorded paths are then outside of it.
    recorded = [each for each in plan.artifacts if is_at(each.path, root, ARTIFACT)]
    used = {artifact.path.resolve() for run in plan.kept for artifact in run.artifacts}
    deleted = [each for each in recorded if each.path.resolve() not in used]
    _mark_deleted(root / DATABASE, [each.id for each in deleted if not each.pruned])
    run_files = _list_run_files(root, plan)
    _delete_via_trash(
        root,
        [
            *run_files,
            *(each.path for each in deleted),
            *_list_unrecorded(root / "artifacts", plan),
        ],
        DELETABLE,
    )
    old_versions = [
        path
        for versions in (list_versions(serving), list_rolled_back(serving))
        for path in versions[: -config.keep_versions]
        if path.name not in plan.protected_versions
    ]
    _delete_via_trash(serving, old_versions, VERSIONS)
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


def is_at(path: Path, folder: Path, *patterns: tuple[str, ...]) -> bool:
    """Return whether a path is below a folder where one of the patterns says.

    No part of it below the folder is a link or ``..``, so that it has no other name there.

    Args:
      path: Absolute path.
      folder: Folder that contains it; its own path may contain links.
      patterns: Regular expressions of the parts of the path below the folder.
    """
    resolved, parent = path.resolve(), folder.resolve()
    if not resolved.is_relative_to(parent):
        return False
    parts = resolved.relative_to(parent).parts
    return path.parts[-len(parts) :] == parts and any(
        len(parts) == len(pattern) and all(map(_matches, pattern, parts)) for pattern in patterns
    )


def _matches(pattern: str, part: str) -> bool:
    return re.fullmatch(pattern, part, re.DOTALL) is not None


def _delete_via_trash(
    parent: Path, paths: Iterable[Path], patterns: tuple[tuple[str, ...], ...]
) -> None:
    """Delete files and folders below ``parent``, and what a killed process left in the trash.

    Nothing is deleted that ``is_at`` none of the patterns; a warning in the log lists it.
    """
    trash = parent / _TRASH
    existing = [path for path in paths if os.path.lexists(path)]
    unexpected = [path for path in existing if not is_at(path, parent, *patterns)]
    if not is_at(trash, parent, (re.escape(_TRASH),)):
        unexpected, existing = [trash, *unexpected], []
    for path in unexpected:
        _log.warning("Not deleted, because it is not a file or folder of %s: %s", parent, path)
    if trash in unexpected:  # a link
        return
    sources = dict.fromkeys(path for path in existing if path not in unexpected)
    if sources:
        trash.mkdir(exist_ok=True)
    for path in sources:
        path.rename(trash / f"{path.name}-{os.urandom(8).hex()}")
    shutil.rmtree(trash, ignore_errors=True)
    if trash.exists():
        _log.warning("%s could not be deleted; check its permissions and delete it", trash)
