"""The stages of a search: pairs, trials, results."""

import hashlib
import json
import time
from pathlib import Path

from rich.markup import escape

from diptych.components.trainer.warm_start import start_settled
from diptych.pipeline.caching import code_of_trainer
from diptych.pipeline.session import Session
from diptych.pipeline.tuning.pair_sets import PairSets
from diptych.pipeline.tuning.search import search
from diptych.pipeline.tuning.search_report import results_table, write_results
from diptych.pipeline.tuning.space import Trial, text_of
from diptych.pipeline.tuning.trial import Job
from diptych.pipeline.tuning.trial_result import Outcome, ranked, read_outcomes, write_outcome
from diptych.pipeline.workspace import serving_folder
from diptych.schemas.config.train import Train
from diptych.schemas.config.tune import PLACEMENT
from diptych.schemas.errors import TrainingError


def draw_pairs(session: Session, trials: list[Trial]) -> PairSets:
    """Makes the pairs of the configuration and of the trials."""
    steps = session.steps
    pair_sets = PairSets(session.config, session.root, session.run)
    needed = pair_sets.needed(trials)
    for number, (special, config) in enumerate(needed.items(), 1):
        steps.start(f"Pairs {number} of {len(needed)}")
        pair_sets.make(config)
        steps.end(special)
    return pair_sets


def run_trials(
    session: Session, trials: list[Trial], pair_sets: PairSets
) -> tuple[Path, list[Outcome]]:
    """Runs the trials that have not come to their end in an earlier call.

    Returns:
      The folder of the search, and the outcomes of all trials, best first.

    Raises:
      TrainingError: Ray does not start, has not what a trial needs, or no trial came to an epoch.
    """
    config, steps = session.config, session.steps
    folder = session.root / "tune" / _digest(session, pair_sets.of(config), trials[0])
    known = read_outcomes(folder / "trials")
    outcomes = {trial.number: known[trial.number] for trial in trials if trial.number in known}
    before = list(outcomes.values())
    left = [trial for trial in trials if trial.number not in outcomes]
    jobs = [_job(session, trial, folder) for trial in left]
    for trial, job in zip(left, jobs, strict=True):
        pair_sets.link(trial, job.pairs)
    values = {trial.number: trial.values for trial in trials}
    steps.start("Trials")
    steps.say(f"{len(left)} to run")
    started = time.perf_counter()

    def ended(outcome: Outcome) -> None:
        outcomes[outcome.number] = outcome
        if outcome.end != "lost":
            write_outcome(folder / "trials", outcome)
        seconds = sum(line.seconds for line in outcome.curves)
        said = f"{described(outcome)}: {text_of(values[outcome.number])}"
        steps.line(f"Trial {outcome.number}", seconds, said)
        done = len(outcomes) - len(before)
        rest = round((time.perf_counter() - started) / done * (len(left) - done))
        steps.say(f"{_standing(outcomes, trials)}, about {rest // 60}:{rest % 60:02} left")

    if jobs:
        search(config, jobs, before, folder, ended)
    best_first = ranked(outcomes.values())
    if not any(outcome.curves for outcome in best_first):
        raise TrainingError(
            f"None of {len(trials)} trials came to the end of an epoch. Trial "
            f"{best_first[0].number}: {best_first[0].reason}"
        )
    earlier = f", {len(before)} of them from an earlier call" if before else ""
    steps.end(_standing(outcomes, trials) + earlier)
    return folder, best_first


def show_results(
    session: Session, trials: list[Trial], folder: Path, outcomes: list[Outcome]
) -> None:
    """Writes the results, and shows the best of them."""
    console = session.console
    written = write_results(folder, trials, outcomes)
    console.print()
    console.print(results_table(trials, outcomes))
    console.print()
    for name, path in written.items():
        console.print(f"{name:<14}{escape(str(path))}")
    session.done()


def described(outcome: Outcome) -> str:
    """The end of a trial in a few words."""
    if outcome.best is None or outcome.end in ("failed", "lost"):
        return f"{outcome.end}: {outcome.reason}"
    when = f"{outcome.end} at epoch {len(outcome.curves)}"
    return f"{when}, calibration accuracy {100 * outcome.accuracy:.1f} %"


def _standing(outcomes: dict[int, Outcome], trials: list[Trial]) -> str:
    best = ranked(outcomes.values())[0]
    return (
        f"{len(outcomes)} of {len(trials)} trials, best calibration accuracy "
        f"{100 * best.accuracy:.1f} % by trial {best.number}"
    )


def _job(session: Session, trial: Trial, folder: Path) -> Job:
    place = folder / "unfinished" / f"{trial.number:05}"
    return Job(trial.number, trial.config.model, _start_settled(session, trial.config.train), place)


def _start_settled(session: Session, train: Train) -> Train:
    return start_settled(train, serving_folder(session.config, session.root))


def _digest(session: Session, pairs: Path, first: Trial) -> str:
    """Names a search: what came to an end under the same name counts in the next call.

    More trials of the same ranges, or other CPUs, do not change it.
    """
    config = session.config
    what = (
        str(pairs),
        config.model.model_dump_json(),
        _start_settled(session, config.train).model_dump_json(exclude=set(PLACEMENT)),
        config.tune.model_dump_json(exclude={"trials", "gpus_per_trial"}),
        first.values,  # another version of SciPy may draw others
        code_of_trainer(config),
    )
    return hashlib.blake2b(json.dumps(what).encode(), digest_size=8).hexdigest()
