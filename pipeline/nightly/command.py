"""``diptych run --nightly``: once for new data, alone in its root, with a summary for programs."""

from pathlib import Path

import click

from diptych.pipeline.lock import only_one
from diptych.pipeline.nightly.night import Night, now
from diptych.pipeline.nightly.notify import keep, send_metrics
from diptych.pipeline.nightly.task import tonight
from diptych.pipeline.nightly.webhook import post, webhook_of
from diptych.pipeline.session import Session, attempt, settled
from diptych.pipeline.workspace import DATABASE, LOG, run_folder, serving_folder
from diptych.schemas.config.config import Config
from diptych.schemas.errors import BusyError, DiptychError

_STDERR = 2


def run_nightly(path: Path, settings: tuple[str, ...], root: Path | None, until: str | None) -> int:
    """Works on tonight's run; the last line on standard output is its summary, as JSON.

    Args:
      path: the configuration file.
      settings: overrides, ``key.path=value`` each.
      root: folder of everything that is written; None: ``diptych-<name>`` here.
      until: the step to end with, and to leave the night running; None: the whole.

    Returns:
      Exit code, of ``EXIT_CODES``.
    """
    night, webhook = Night(outcome="running", started=now()), None
    try:
        config, place = settled(path, settings, root)
        night = night.model_copy(update={"pipeline": config.name})
        webhook = webhook_of(config)
        with only_one(place) as tell:
            night = tonight(config, place)
            tell(f"the run {night.run}")
            night = _worked_on(night, config, place, until)
            if _is_told(night, until):
                send_metrics(keep(night, place), config)
            if until is None and night.outcome != "nothing new":
                _prune(config, place)
    except (DiptychError, OSError) as error:  # the latter of a disk that is full
        said = " ".join(str(error).split())
        night = night.end("busy" if isinstance(error, BusyError) else "failed", error=said)
        click.echo(f"Error: {night.error}", err=True)
    click.echo(night.model_dump_json())
    if webhook is not None and _is_told(night, until):
        problem = post(webhook, night.model_dump_json())
        if problem is not None:
            click.echo(f"Warning: {problem}", err=True)
    return night.exit_code


def _prune(config: Config, root: Path) -> None:
    """Deletes what is old; that it cannot be deleted is told, and no failure of the night."""
    if not (root / DATABASE).is_file():  # it came to no step yet
        return
    from diptych.pipeline.nightly.pruning import prune

    try:
        prune(root, serving_folder(config, root), config.name, config.nightly)
    except (DiptychError, OSError) as error:
        click.echo(f"Warning: old runs could not be pruned: {error}", err=True)


def _is_told(night: Night, until: str | None) -> bool:
    """Whether others are told: a part of a night is news only if it failed."""
    return until is None or night.outcome in ("failed", "busy")


def _worked_on(night: Night, config: Config, root: Path, until: str | None) -> Night:
    """The night after this call."""
    if night.outcome == "nothing new":
        click.echo(f"Nothing new since {night.run}: the same data, settings and code.", err=True)
        return night
    run, production = night.run, night.production
    assert production is not None  # the night has begun
    night = night.model_copy(update={"log": str(run_folder(root, run) / LOG)})
    night.write(root)

    def work(session: Session) -> None:
        nonlocal night
        if night.calls > 1:
            session.console.print(f"    going on with {run}")
        from diptych.pipeline.run import conclude, launch

        launch(session, production, until)
        if until is None:
            from diptych.pipeline.nightly.night_result import with_result

            night = with_result(night, conclude(session), root)

    failure = attempt(config, root, run, work, _STDERR)
    if failure is not None:
        night = night.end("failed", error=failure)
    night.write(root)
    return night
