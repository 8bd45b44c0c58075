"""The command line. Heavy libraries are imported by the commands that need them."""

import os
from collections.abc import Callable
from pathlib import Path

import click

from diptych.cli.compile import compile_pipeline
from diptych.cli.embed import compare, embed
from diptych.cli.errors import explained
from diptych.cli.gallery import enroll, identify
from diptych.cli.rollback import rollback
from diptych.cli.runs import compare_runs, report, runs
from diptych.cli.serve import serve
from diptych.cli.submit import submit


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="diptych")
def main() -> None:
    """From raw labelled data to a Siamese model in production."""


def _of_a_session(command: Callable[..., None]) -> Callable[..., None]:
    """The argument and the options of commands that work in a root."""
    for decorate in (
        click.option(
            "--root",
            type=click.Path(path_type=Path, file_okay=False),
            help="Folder of metadata, artifacts, logs and pushed models. "
            "Default: diptych-NAME in the working directory.",
        ),
        click.option(
            "--set",
            "settings",
            multiple=True,
            metavar="KEY.PATH=VALUE",
            help="Overrides a value of the configuration; may be repeated.",
        ),
        click.argument("config", type=click.Path(path_type=Path)),
    ):
        command = decorate(command)
    return command


@main.command()
@_of_a_session
@click.option(
    "--nightly",
    is_flag=True,
    help="For schedules: does nothing if nothing is new, goes on where it was broken off, and ends "
    "with a line of JSON. Exit code 0: pushed or nothing new, 1: failed, 3: not blessed, "
    "4: another run is going on.",
)
@click.option(
    "--until", metavar="STEP", help="With --nightly: ends after this step; the next call goes on."
)
def run(
    config: Path, settings: tuple[str, ...], root: Path | None, nightly: bool, until: str | None
) -> None:
    """Runs the whole pipeline that CONFIG describes.

    Steps whose data, settings and code have not changed are taken from the cache.
    """
    if nightly:
        from diptych.pipeline.nightly.command import run_nightly

        raise SystemExit(run_nightly(config, settings, root, until))
    if until is not None:
        raise click.UsageError("--until needs --nightly: a run of its own goes to the end.")
    from diptych.pipeline.run import run_pipeline

    raise SystemExit(run_pipeline(config, settings, root))


@main.command()
@_of_a_session
def tune(config: Path, settings: tuple[str, ...], root: Path | None) -> None:
    """Looks for better values of the keys in the section tune of CONFIG.

    Trains with values drawn from their ranges, many trials at once on Ray, stops early what falls
    behind, and writes the best configuration. Called again, it goes on where it was cut off.
    """
    from diptych.pipeline.tuning.command import tune_pipeline

    raise SystemExit(tune_pipeline(config, settings, root))


@main.command()
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Data to look at: a folder of images, or tables or TFRecords.",
)
@click.argument("out", type=click.Path(path_type=Path), default=Path("diptych.yaml"))
def init(data: Path | None, out: Path) -> None:
    """Writes a commented configuration to OUT (default: diptych.yaml) that fits the data."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from diptych.cli.config_template import write_config

    with explained():
        write_config(data, out)
    click.echo(f"Wrote {out}. Look it over, then: diptych run {out}")


main.add_command(compile_pipeline)
main.add_command(submit)
main.add_command(runs)
main.add_command(compare_runs)
main.add_command(report)
main.add_command(rollback)
main.add_command(compare)
main.add_command(embed)
main.add_command(serve)
main.add_command(enroll)
main.add_command(identify)
