"""Rollback: put the previous version of a pushed model into production again."""

import dataclasses
from pathlib import Path

from diptych.schemas.errors import ModelError
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.versions import ROLLED_BACK_FOLDER, list_versions


@dataclasses.dataclass(frozen=True)
class Rollback:
    """Result of a rollback.

    Attributes:
      rolled_back: Manifest of the version that was in production.
      production: Manifest of the version that is in production now.
      moved_to: Folder of the version that was rolled back.
    """

    rolled_back: ModelManifest
    production: ModelManifest
    moved_to: Path


def roll_back(serving: Path) -> Rollback:
    """Move the newest version away by a rename, so that the previous one is the newest.

    Args:
      serving: Folder of pushed versions; no other process may push to it at the same time.

    Raises:
      ModelError: If there is no previous version, or it differs from its manifest. Nothing is
        changed.
    """
    versions = list_versions(serving)
    if len(versions) < 2:
        content = f"has only version {versions[0].name}" if versions else "has no version"
        raise ModelError(
            f"A rollback requires a version before the newest, but {serving} {content}. Choose the "
            "folder of versions with --model, or the pipeline root with --root."
        )
    previous, newest = versions[-2:]
    production = ModelManifest.read(previous)
    production.verify(previous)
    rolled_back = ModelManifest.read(newest)
    moved_to = serving / ROLLED_BACK_FOLDER / newest.name
    for path in (newest, moved_to.parent):
        if path.is_symlink():
            raise ModelError(
                f"{path} is a link to {path.resolve()}, but a rollback moves only versions within "
                f"{serving}. Replace the link by a folder. Nothing was changed."
            )
    try:
        moved_to.parent.mkdir(exist_ok=True)
        newest.rename(moved_to)
    except OSError as error:
        raise ModelError(
            f"{newest} cannot be moved to {moved_to}: {error.strerror}. Nothing was changed."
        ) from error
    return Rollback(rolled_back, production, moved_to)


def find_serving_folder(root: Path) -> Path:
    """Find the folder that the newest run of a root with a pushed version has pushed to.

    Raises:
      ModelError: If no run has pushed a version.
      ConfigError: If the folder is not a pipeline root.
    """
    from diptych.pipeline.runs.outcome import find_pushed_version
    from diptych.pipeline.runs.records import read_runs

    for run in reversed(read_runs(root)):
        pushed = find_pushed_version(run)
        if pushed is not None:
            return pushed.path.parent
    raise ModelError(f"Nothing to roll back: no run of {root} has pushed a model yet.")
