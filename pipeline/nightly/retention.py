"""What is kept of former runs: the newest, what they use, and what production came from."""

import dataclasses
import datetime
from collections.abc import Iterable

from diptych.pipeline.runs.outcome import pushed_by
from diptych.pipeline.runs.records import ArtifactRecord, RunRecord


@dataclasses.dataclass(frozen=True)
class Retention:
    """What goes, and what stays."""

    gone: tuple[RunRecord, ...]
    kept: tuple[RunRecord, ...]
    artifacts: tuple[ArtifactRecord, ...]  # that only runs that go have made or used
    versions: frozenset[str]  # numbers of pushed versions that stay, however old
    since: datetime.datetime | None  # the start of the oldest of the newest runs; None: all stay


def decide(
    runs: Iterable[RunRecord], pipeline: str, keep_runs: int, production: str | None
) -> Retention:
    """Decides which runs of a pipeline go with all that no other run needs.

    The newest stay, and whatever their age the run that was blessed last and the one that has
    pushed what is in production; those of other pipelines stay, too.

    Args:
      runs: all of a root, the newest last.
      pipeline: whose runs are pruned.
      keep_runs: how many of the newest stay.
      production: number of the version that is in production; None: there is none.
    """
    every = list(runs)
    own = [run for run in every if run.pipeline == pipeline]
    new, old = own[-keep_runs:], own[:-keep_runs]
    blessed = next((run for run in reversed(own) if _is_blessed(run)), None)
    pushed = next((run for run in reversed(own) if _version_of(run) == production), None)
    protected = [run for run in (blessed, pushed if production else None) if run is not None]
    gone = tuple(run for run in old if run not in protected)
    kept = tuple(run for run in every if run not in gone)
    needed = {artifact.id for run in kept for artifact in run.artifacts}
    theirs = {artifact.id: artifact for run in gone for artifact in run.artifacts}
    return Retention(
        gone,
        kept,
        artifacts=tuple(theirs[number] for number in sorted(theirs.keys() - needed)),
        versions=frozenset(filter(None, map(_version_of, protected))),
        since=new[0].steps[0].started if old else None,
    )


def _is_blessed(run: RunRecord) -> bool:
    evaluation = run.output("Evaluator", "evaluation")
    return evaluation is not None and bool(evaluation.properties.get("blessed"))


def _version_of(run: RunRecord) -> str | None:
    pushed = pushed_by(run)
    return None if pushed is None else pushed.version
