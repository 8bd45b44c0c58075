"""Find the model in production: the newest version in a folder of pushed models."""

from pathlib import Path

from diptych.schemas.manifest import compute_digests
from diptych.schemas.versions import list_versions, newest_version


def resolve_production(serving: Path) -> Path:
    """Return the newest version, or the folder itself if it has no versions yet.

    Resolving the version before the run makes it a parameter of the steps, so a new version is not
    a cache hit. A step that receives the folder uses the newest version when it runs.
    """
    return newest_version(serving) or serving


def find_production_model(serving: Path, candidate: Path) -> Path | None:
    """Return the newest version whose files differ from the candidate's, or None.

    The candidate may already be pushed, if nothing has changed since or if the run was killed after
    the push. Compared with itself, it would be pushed a second time.

    Args:
      serving: Folder of pushed versions.
      candidate: An exported model.
    """
    candidate_digests = compute_digests(candidate)
    for version in reversed(list_versions(serving)):
        if compute_digests(version) != candidate_digests:
            return version
    return None
