"""One run of the pipeline: all steps, then the report."""

import logging
from pathlib import Path

from diptych.components.common.local_connections import bypass_proxy_locally
from diptych.components.common.production import resolve_production
from diptych.pipeline.engines import check_reachable
from diptych.pipeline.lock import lock_root
from diptych.pipeline.progress import ProgressReporter, SilentReporter
from diptych.pipeline.runs.records import RunRecord, read_run
from diptych.pipeline.session import (
    Session,
    make_encoder_importable,
    new_run_name,
    open_session,
    resolve_root,
)
from diptych.pipeline.workspace import serving_folder
from diptych.schemas.config.config import Config
from diptych.schemas.errors import ConfigError

_log = logging.getLogger("diptych")


def run_pipeline(
    config: Config, root: Path | None = None, progress: ProgressReporter | None = None
) -> RunRecord:
    """Run the pipeline once, and build the report.

    Args:
      config: Configuration of the pipeline.
      root: Pipeline root; None: ``diptych-NAME`` in the working directory.
      progress: Receives the progress; None: it is not reported.

    Raises:
      BusyError: If another process uses the root.
      DiptychError: As raised by a step; ``StepError`` for an unexpected error.
      KeyboardInterrupt: If the run was interrupted.
    """
    bypass_proxy_locally()  # for the Python API; the command line has done it
    root = resolve_root(config, root)
    make_encoder_importable(config)
    with lock_root(root) as set_holder:
        run = new_run_name(root)
        set_holder(f"the run {run}")
        with open_session(config, root, run, progress or SilentReporter()) as session:
            run_steps(session, resolve_production(serving_folder(config, root)))
            return finish_run(session)


def run_steps(session: Session, production: Path, last_step: str | None = None) -> None:
    """Run the steps that the run has not completed yet.

    Args:
      session: Session of the run.
      production: Model in production at the start of the run, as ``build_pipeline`` takes it.
      last_step: Step to stop after; None runs all steps.

    Raises:
      ConfigError: If the pipeline has no such step.
      Exception: As raised by a step; see ``run_locally``.
    """
    config, progress = session.config, session.progress
    check_reachable(config.beam, session.root)
    from diptych.components.example_gen.infer_spec import infer_input_spec
    from diptych.pipeline.graph import build_pipeline
    from diptych.pipeline.runners.local import StepOutcome, run_locally

    inputs = infer_input_spec(config.data, config.split)
    pipeline = build_pipeline(config, inputs, session.root, production)
    names = [step.id for step in pipeline.components]
    if last_step is not None and last_step not in names:
        raise ConfigError(f"The pipeline has no step {last_step!r}. Its steps: {', '.join(names)}.")
    progress.end_step()

    def on_end(name: str, outcome: StepOutcome) -> None:
        progress.end_step("unchanged, from the cache" if outcome is StepOutcome.CACHED else "")

    run_locally(pipeline, session.run, progress.start_step, on_end, last_step)


def finish_run(session: Session) -> RunRecord:
    """Read the record of a run that has completed all steps, and build its report."""
    record = read_run(session.root, session.run)
    _build_report(session, record)
    return record


def _build_report(session: Session, record: RunRecord) -> None:
    """Build the report; a failure is logged and does not fail the run."""
    from diptych.pipeline.runs.report_file import ensure_report

    session.progress.start_step("Report")
    try:
        ensure_report(record, session.root)
    except Exception as error:
        _log.exception("The report could not be built")
        session.progress.end_step(f"not built: {type(error).__name__}")
    else:
        session.progress.end_step()
