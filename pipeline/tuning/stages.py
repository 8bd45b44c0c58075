"""Stages of a search: generate the pair sets, run the trials."""

import hashlib
import json
import time
from pathlib import Path

from diptych.components.trainer.warm_start import resolve_warm_start
from diptych.pipeline.caching import code_of_trainer
from diptych.pipeline.session import Session
from diptych.pipeline.tuning.pair_sets import PairSets
from diptych.pipeline.tuning.search import run_ray_trials
from diptych.pipeline.tuning.space import Trial, format_values
from diptych.pipeline.tuning.trial import TrialJob
from diptych.pipeline.tuning.trial_result import (
    TrialResult,
    rank_trial_results,
    read_trial_results,
    write_trial_result,
)
from diptych.pipeline.workspace import serving_folder
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.config.tune import PLACEMENT_KEYS
from diptych.schemas.errors import TrainingError


def generate_pair_sets(session: Session, trials: list[Trial]) -> PairSets:
    """Generate the pairs that the configuration and the trials need, or take cached ones."""
    progress = session.progress
    pair_sets = PairSets(session.config, session.root, session.run)
    required = pair_sets.required_configs(trials)
    for number, (description, config) in enumerate(required.items(), 1):
        progress.start_step(f"Pairs {number} of {len(required)}")
        pair_sets.generate(config)
        progress.end_step(description)
    return pair_sets


def run_trials(
    session: Session, trials: list[Trial], pair_sets: PairSets
) -> tuple[Path, list[TrialResult]]:
    """Run the trials that no earlier call has completed.

    Returns:
      The folder of the search, and the results of all trials, the best first.

    Raises:
      TrainingError: If Ray does not start or lacks the resources of a trial, or no trial completed
        an epoch.
    """
    config, progress = session.config, session.progress
    folder = session.root / "tune" / _search_digest(session, pair_sets.folder(config), trials[0])
    recorded = read_trial_results(folder / "trials")
    results = {each.number: recorded[each.number] for each in trials if each.number in recorded}
    earlier = list(results.values())
    remaining = [trial for trial in trials if trial.number not in results]
    jobs = [_make_job(session, trial, folder) for trial in remaining]
    for trial, job in zip(remaining, jobs, strict=True):
        pair_sets.link(trial, job.pairs)
    values = {trial.number: trial.values for trial in trials}
    progress.start_step("Trials")
    progress.update(f"{len(remaining)} to run")
    started = time.perf_counter()

    def on_end(result: TrialResult) -> None:
        results[result.number] = result
        if result.status != "lost":
            write_trial_result(folder / "trials", result)
        seconds = sum(epoch.seconds for epoch in result.curves)
        description = f"{describe_trial(result)}: {format_values(values[result.number])}"
        progress.complete(f"Trial {result.number}", seconds, description)
        done = len(results) - len(earlier)
        left_s = round((time.perf_counter() - started) / done * (len(remaining) - done))
        status = _describe_search(results, trials)
        progress.update(f"{status}, about {left_s // 60}:{left_s % 60:02} left")

    if jobs:
        run_ray_trials(config, jobs, earlier, folder, on_end)
    best_first = rank_trial_results(results.values())
    if not any(result.curves for result in best_first):
        raise TrainingError(
            f"None of {len(trials)} trials completed an epoch. Trial "
            f"{best_first[0].number}: {best_first[0].reason}"
        )
    from_earlier = f", {len(earlier)} of them from an earlier call" if earlier else ""
    progress.end_step(_describe_search(results, trials) + from_earlier)
    return folder, best_first


def describe_trial(result: TrialResult) -> str:
    """Describe the result of a trial in a few words."""
    if result.best is None or result.status in ("failed", "lost"):
        return f"{result.status}: {result.reason}"
    epochs = f"{result.status} at epoch {len(result.curves)}"
    return f"{epochs}, calibration accuracy {100 * result.accuracy:.1f} %"


def _describe_search(results: dict[int, TrialResult], trials: list[Trial]) -> str:
    best = rank_trial_results(results.values())[0]
    return (
        f"{len(results)} of {len(trials)} trials, best calibration accuracy "
        f"{100 * best.accuracy:.1f} % by trial {best.number}"
    )


def _make_job(session: Session, trial: Trial, folder: Path) -> TrialJob:
    checkpoints = folder / "checkpoints" / f"{trial.number:05}"
    train = _with_warm_start(session, trial.config.train)
    return TrialJob(trial.number, trial.config.model, train, checkpoints)


def _with_warm_start(session: Session, train: TrainConfig) -> TrainConfig:
    return resolve_warm_start(train, serving_folder(session.config, session.root))


def _search_digest(session: Session, pairs: Path, first: Trial) -> str:
    """Digest that names a search: a later call reuses the results under the same name.

    It does not depend on the number of trials or on the resources of a trial.
    """
    config = session.config
    content = (
        str(pairs),
        config.model.model_dump_json(),
        _with_warm_start(session, config.train).model_dump_json(exclude=set(PLACEMENT_KEYS)),
        config.tune.model_dump_json(exclude={"trials", "gpus_per_trial"}),
        first.values,  # another version of SciPy may draw other values
        code_of_trainer(config),
    )
    return hashlib.blake2b(json.dumps(content).encode(), digest_size=8).hexdigest()
