"""``diptych run``: from a configuration to a summary and a report."""

import logging
from pathlib import Path

from diptych.pipeline.engines import check_reachable
from diptych.pipeline.history.records import RunRecord, read_run
from diptych.pipeline.session import Session, in_session

_log = logging.getLogger("diptych")


def run_pipeline(path: Path, settings: tuple[str, ...], root: Path | None) -> int:
    """Runs the pipeline once; see ``in_session``."""
    return in_session(path, settings, root, _run)


def _run(session: Session) -> None:
    config, steps, console = session.config, session.steps, session.console
    check_reachable(config.beam)
    from diptych.components.example_gen.preflight import settle

    inputs = settle(config.data, config.split)
    from diptych.components.production import production_at_start
    from diptych.pipeline.graph import build_pipeline, serving_folder
    from diptych.pipeline.local import Outcome, run_locally
    from diptych.pipeline.summary import show, summarize

    production = production_at_start(serving_folder(config, session.root))
    pipeline = build_pipeline(config, inputs, session.root, production)
    steps.end()

    def ended(name: str, outcome: Outcome) -> None:
        steps.end("unchanged, from the cache" if outcome is Outcome.CACHED else "")

    run_locally(pipeline, session.run, steps.start, ended)
    run = read_run(session.root, session.run)
    report = _report(session, run)
    show(summarize(run), report, console)
    if run.unchanged:
        console.print(f"Nothing has changed: all from the cache, in {session.seconds:.0f} s")
    else:
        session.done()


def _report(session: Session, run: RunRecord) -> Path | None:
    """Builds the report; a fault in it does not undo a run that went through."""
    from diptych.pipeline.history.reporting import report_of

    session.steps.start("Report")
    try:
        path = report_of(run, session.root)
    except Exception as error:
        _log.exception("The report could not be built")
        session.steps.end(f"not built: {type(error).__name__}")
        return None
    session.steps.end()
    return path
