"""``diptych run``: from a configuration to a summary and a report."""

import logging
from pathlib import Path

from diptych.components.common.production import production_at_start
from diptych.pipeline.engines import check_reachable
from diptych.pipeline.runs.records import RunRecord, read_run
from diptych.pipeline.session import Session, in_session
from diptych.pipeline.workspace import serving_folder
from diptych.schemas.errors import ConfigError

_log = logging.getLogger("diptych")


def run_pipeline(path: Path, settings: tuple[str, ...], root: Path | None) -> int:
    """Runs the pipeline once; see ``in_session``."""
    return in_session(path, settings, root, _run)


def _run(session: Session) -> None:
    launch(session, production_at_start(serving_folder(session.config, session.root)))
    conclude(session)


def launch(session: Session, production: Path, last: str | None = None) -> None:
    """Runs the steps that the run has not done yet.

    Args:
      session: of the run.
      production: as of ``build_pipeline``; where a run is gone on with, that of its start.
      last: the step to end with; None: all are run.

    Raises:
      ConfigError: there is no step of that name.
      Whatever a step raises; see ``run_locally``.
    """
    config, steps = session.config, session.steps
    check_reachable(config.beam)
    from diptych.components.example_gen.preflight import settle

    inputs = settle(config.data, config.split)
    from diptych.pipeline.graph import build_pipeline
    from diptych.pipeline.runners.local import Outcome, run_locally

    pipeline = build_pipeline(config, inputs, session.root, production)
    names = [step.id for step in pipeline.components]
    if last is not None and last not in names:
        raise ConfigError(f"There is no step {last!r} to end with. The steps: {', '.join(names)}.")
    steps.end()

    def ended(name: str, outcome: Outcome) -> None:
        steps.end("unchanged, from the cache" if outcome is Outcome.CACHED else "")

    run_locally(pipeline, session.run, steps.start, ended, last)


def conclude(session: Session) -> RunRecord:
    """Builds the report of a run that came to its end, and shows the summary."""
    from diptych.pipeline.runs.run_summary import show, summarize

    run = read_run(session.root, session.run)
    report = _report(session, run)
    show(summarize(run), report, session.console)
    if run.unchanged:
        session.console.print(
            f"Nothing has changed: all from the cache, in {session.seconds:.0f} s"
        )
    else:
        session.done()
    return run


def _report(session: Session, run: RunRecord) -> Path | None:
    """Builds the report; a fault in it does not undo a run that went through."""
    from diptych.pipeline.runs.report_file import report_of

    session.steps.start("Report")
    try:
        path = report_of(run, session.root)
    except Exception as error:
        _log.exception("The report could not be built")
        session.steps.end(f"not built: {type(error).__name__}")
        return None
    session.steps.end()
    return path
