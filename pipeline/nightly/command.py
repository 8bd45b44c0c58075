"""The command ``diptych run --nightly``: run the pipeline once for new data, and notify."""

from pathlib import Path

from diptych.pipeline.lock import lock_root
from diptych.pipeline.nightly.night import end_night, utc_now
from diptych.pipeline.nightly.notify import append_to_history, send_metrics
from diptych.pipeline.nightly.planning import plan_night
from diptych.pipeline.nightly.webhook import post_summary, webhook_url
from diptych.pipeline.progress import ProgressReporter, SilentReporter
from diptych.pipeline.session import (
    INTERRUPTED,
    make_encoder_importable,
    open_session,
    resolve_root,
)
from diptych.pipeline.workspace import DATABASE, LOG, run_folder, serving_folder
from diptych.schemas.config.config import Config
from diptych.schemas.config.loading import load_config
from diptych.schemas.errors import BusyError, DiptychError
from diptych.schemas.night import Night, NightOutcome


def run_nightly(
    path: Path,
    settings: tuple[str, ...] = (),
    root: Path | None = None,
    until: str | None = None,
    progress: ProgressReporter | None = None,
) -> Night:
    """Start tonight's run or resume it; do nothing if nothing has changed since the last one.

    Then append the night to the run history, send its metrics, post it to the webhook and prune
    old runs, as configured in the section ``nightly``.

    Args:
      path: Configuration file.
      settings: Overrides, ``key.path=value`` each.
      root: Pipeline root; None: ``diptych-NAME`` in the working directory.
      until: Step to stop after; the night stays running. None runs all steps.
      progress: Receives the progress and warnings; None: nothing is reported.

    Returns:
      The night. A failure, also to read the configuration, is its outcome; it is not raised.
    """
    progress = progress or SilentReporter()
    night, webhook = Night(outcome="running", started=utc_now()), None
    try:
        config = load_config(path, settings)
        make_encoder_importable(config)
        root = resolve_root(config, root)
        night = night.model_copy(update={"pipeline": config.name})
        webhook = webhook_url(config)
        with lock_root(root) as set_holder:
            night = plan_night(config, root)
            set_holder(f"the run {night.run}")
            if night.outcome != "nothing new":
                night = _run_night(night, config, root, until, progress)
            if _is_reported(night, until):
                problem = send_metrics(append_to_history(night, root), config)
                if problem is not None:
                    progress.warn(problem)
            if until is None and night.outcome != "nothing new":
                _prune_root(config, root, progress)
    except (DiptychError, OSError) as error:  # OSError: such as a full disk
        outcome: NightOutcome = "busy" if isinstance(error, BusyError) else "failed"
        text = " ".join(str(error).split())
        if night.error is not None:  # the night has failed before
            text = f"{night.error.rstrip('.')}. Then its record could not be written: {text}"
        night = end_night(night, outcome, error=text)
    if webhook is not None and _is_reported(night, until):
        problem = post_summary(webhook, night.model_dump_json())
        if problem is not None:
            progress.warn(problem)
    return night


def _prune_root(config: Config, root: Path, progress: ProgressReporter) -> None:
    """Delete old runs and versions; a failure is a warning and does not fail the night."""
    if not (root / DATABASE).is_file():  # the run failed before its first step
        return
    from diptych.pipeline.nightly.pruning import prune

    try:
        prune(root, serving_folder(config, root), config.name, config.nightly)
    except (DiptychError, OSError) as error:
        progress.warn(f"Old runs could not be pruned: {error}")


def _is_reported(night: Night, until: str | None) -> bool:
    """Return whether notifications are sent: for part of a night, only if it failed."""
    return until is None or night.outcome in ("failed", "busy")


def _run_night(
    night: Night, config: Config, root: Path, until: str | None, progress: ProgressReporter
) -> Night:
    """Run the steps that the night has not completed yet; return its new state."""
    run, production = night.run, night.production
    assert production is not None  # recorded at the start of each night
    night = night.model_copy(update={"log": str(run_folder(root, run) / LOG)})
    night.write(root)
    try:
        with open_session(config, root, run, progress) as session:
            if night.calls > 1:
                progress.note(f"resuming {run}")
            from diptych.pipeline.nightly.night_result import record_result
            from diptych.pipeline.run import finish_run, run_steps

            run_steps(session, production, until)
            if until is None:
                night = record_result(night, finish_run(session), root)
    except DiptychError as error:
        night = end_night(night, "failed", error=" ".join(str(error).split()))
    except KeyboardInterrupt:
        night = end_night(night, "failed", error=INTERRUPTED)
    try:
        night.write(root)
    except OSError as error:
        if night.error is None:
            raise
        progress.warn(f"The night could not be recorded: {error}")
    return night
