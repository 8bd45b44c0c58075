"""Choice of the runs to keep: the newest, and the origin of the model in production."""

import dataclasses
import datetime
from collections.abc import Iterable

from diptych.pipeline.runs.outcome import find_pushed_version
from diptych.pipeline.runs.records import ArtifactRecord, RunRecord


@dataclasses.dataclass(frozen=True)
class RetentionPlan:
    """Runs, artifacts and versions to prune or to keep.

    Attributes:
      pruned: Runs to prune.
      kept: All other runs, including those of other pipelines.
      artifacts: Artifacts that only pruned runs wrote or read.
      protected_versions: Numbers of pushed versions to keep regardless of their age.
      keep_since: Start of the oldest of the ``keep_runs`` newest runs; later files without a record
        are kept. None keeps all of them.
    """

    pruned: tuple[RunRecord, ...]
    kept: tuple[RunRecord, ...]
    artifacts: tuple[ArtifactRecord, ...]
    protected_versions: frozenset[str]
    keep_since: datetime.datetime | None


def plan_retention(
    runs: Iterable[RunRecord], pipeline: str, keep_runs: int, production: str | None
) -> RetentionPlan:
    """Choose the runs of a pipeline to prune, with the artifacts that no other run needs.

    The newest runs are kept and, regardless of age, the last run whose model was blessed and the
    run that pushed the version in production. Runs of other pipelines are kept as well.

    Args:
      runs: All runs of a root, newest last.
      pipeline: Name of the pipeline whose runs are pruned.
      keep_runs: Number of newest runs to keep.
      production: Number of the version in production; None if the serving folder is empty.
    """
    all_runs = list(runs)
    own = [run for run in all_runs if run.pipeline == pipeline]
    new, old = own[-keep_runs:], own[:-keep_runs]
    last_blessed = next((run for run in reversed(own) if _is_blessed(run)), None)
    last_pushed = next((run for run in reversed(own) if _pushed_version(run) == production), None)
    candidates = (last_blessed, last_pushed if production else None)
    protected = [run for run in candidates if run is not None]
    pruned = tuple(run for run in old if run not in protected)
    kept = tuple(run for run in all_runs if run not in pruned)
    needed_ids = {artifact.id for run in kept for artifact in run.artifacts}
    of_pruned = {artifact.id: artifact for run in pruned for artifact in run.artifacts}
    return RetentionPlan(
        pruned,
        kept,
        artifacts=tuple(of_pruned[number] for number in sorted(of_pruned.keys() - needed_ids)),
        protected_versions=frozenset(filter(None, map(_pushed_version, protected))),
        keep_since=new[0].steps[0].started if old else None,
    )


def _is_blessed(run: RunRecord) -> bool:
    evaluation = run.output("Evaluator", "evaluation")
    return evaluation is not None and bool(evaluation.properties.get("blessed"))


def _pushed_version(run: RunRecord) -> str | None:
    pushed = find_pushed_version(run)
    return None if pushed is None else pushed.version
