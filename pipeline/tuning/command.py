"""``diptych tune``: from a configuration with ranges to the best one found."""

from pathlib import Path

from diptych.pipeline.engines import check_reachable
from diptych.pipeline.session import Session, in_session
from diptych.pipeline.tuning.space import draw_trials


def tune_pipeline(path: Path, settings: tuple[str, ...], root: Path | None) -> int:
    """Searches, or goes on with a search; see ``in_session``."""
    return in_session(path, settings, root, _tune)


def _tune(session: Session) -> None:
    trials = draw_trials(session.config)  # before anything is imported that takes long
    check_reachable(session.config.beam)
    from diptych.pipeline.tuning.stages import draw_pairs, run_trials, show_results

    session.steps.end()
    pair_sets = draw_pairs(session, trials)
    folder, outcomes = run_trials(session, trials, pair_sets)
    show_results(session, trials, folder, outcomes)
