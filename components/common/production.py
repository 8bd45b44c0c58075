"""The model in production: the newest version in a folder of pushed models."""

from pathlib import Path

from diptych.schemas.manifest import files_of
from diptych.schemas.versions import newest, versions


def production_at_start(serving: Path) -> Path:
    """The version that is in production now; the folder itself, where there is none yet.

    A step that is given the folder takes the newest version in it when it runs; one that is given a
    version has it among its parameters, so that the cache knows another one.
    """
    return newest(serving) or serving


def production_before(serving: Path, candidate: Path) -> Path | None:
    """The newest version that is not the candidate itself; None: there is none.

    The candidate is there already if nothing has changed since it was pushed, or if the run was
    killed after the push: compared with itself, it would be pushed a second time.

    Args:
      serving: folder of pushed versions.
      candidate: an exported model.
    """
    own = files_of(candidate)
    others = (version for version in reversed(versions(serving)) if files_of(version) != own)
    return next(others, None)
