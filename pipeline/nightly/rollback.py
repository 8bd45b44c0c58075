"""The version before, in production again: what a person does when a model proves bad in use."""

import dataclasses
from pathlib import Path

from diptych.schemas.errors import ModelError
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.versions import ROLLED_BACK, versions


@dataclasses.dataclass(frozen=True)
class Rollback:
    """The version that was in production, the one that is now, and where the former lies."""

    former: ModelManifest
    current: ModelManifest
    kept: Path


def roll_back(serving: Path) -> Rollback:
    """Moves the newest version away by a rename, so that the one before is the newest.

    Args:
      serving: folder of pushed versions, which nobody pushes into meanwhile.

    Raises:
      ModelError: there is no version before, or it is not as it was pushed; nothing was changed.
    """
    found = versions(serving)
    if len(found) < 2:
        have = f"has only version {found[0].name}" if found else "has none"
        raise ModelError(
            f"To roll back, a version before the newest is needed, and {serving} {have}. Name the "
            "folder of versions with --model, or the root of the runs with --root."
        )
    before, newest = found[-2:]
    current = ModelManifest.read(before)
    current.check(before)
    former = ModelManifest.read(newest)
    kept = serving / ROLLED_BACK / newest.name
    try:
        kept.parent.mkdir(exist_ok=True)
        newest.rename(kept)
    except OSError as error:
        raise ModelError(
            f"{newest} cannot be moved to {kept}: {error.strerror}. Nothing was changed."
        ) from error
    return Rollback(former, current, kept)


def pushed_into(root: Path) -> Path:
    """The folder that the newest of the runs of a root that pushed has pushed into.

    Raises:
      ModelError: none has.
      ConfigError: the folder is no root of runs.
    """
    from diptych.pipeline.runs.outcome import pushed_by
    from diptych.pipeline.runs.records import read_runs

    for run in reversed(read_runs(root)):
        pushed = pushed_by(run)
        if pushed is not None:
            return pushed.path.parent
    raise ModelError(f"No run of {root} has pushed a model yet: there is nothing to roll back.")
