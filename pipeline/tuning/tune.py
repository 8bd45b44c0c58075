"""Hyperparameter search."""

import dataclasses
from pathlib import Path

from diptych.pipeline.engines import check_reachable
from diptych.pipeline.lock import lock_root
from diptych.pipeline.progress import ProgressReporter, SilentReporter
from diptych.pipeline.session import (
    make_encoder_importable,
    new_run_name,
    open_session,
    resolve_root,
)
from diptych.pipeline.tuning.space import Trial, sample_trials
from diptych.pipeline.tuning.trial_result import TrialResult
from diptych.schemas.config.config import Config


@dataclasses.dataclass(frozen=True)
class SearchResult:
    """Result of a search."""

    trials: list[Trial]  # by number
    results: list[TrialResult]  # of the trials, the best first
    files: dict[str, Path]  # best configuration, table and plot, by title


def tune(
    config: Config, root: Path | None = None, progress: ProgressReporter | None = None
) -> SearchResult:
    """Search for better values of the keys in the section ``tune``, or resume the search.

    Args:
      config: Configuration of the pipeline.
      root: Pipeline root; None: ``diptych-NAME`` in the working directory.
      progress: Receives the progress; None: it is not reported.

    Raises:
      BusyError: If another process uses the root.
      TrainingError: If no trial completed an epoch, or Ray lacks the resources of a trial.
      DiptychError: As raised by a step; ``StepError`` for an unexpected error.
      KeyboardInterrupt: If the search was interrupted.
    """
    root = resolve_root(config, root)
    make_encoder_importable(config)
    with lock_root(root) as set_holder:
        run = new_run_name(root)
        set_holder(f"the run {run}")
        with open_session(config, root, run, progress or SilentReporter()) as session:
            trials = sample_trials(
                config
            )  # before the slow imports, to fail early on an invalid section
            check_reachable(config.beam, root)
            from diptych.pipeline.tuning.search_report import write_search_results
            from diptych.pipeline.tuning.stages import generate_pair_sets, run_trials

            session.progress.end_step()
            pair_sets = generate_pair_sets(session, trials)
            folder, results = run_trials(session, trials, pair_sets)
            return SearchResult(trials, results, write_search_results(folder, trials, results))
