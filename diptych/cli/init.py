"""``diptych init``: write a configuration for given data."""

import os
from pathlib import Path

import click

from diptych.cli.errors import exit_on_error


@click.command("init", short_help="Write a configuration that fits the data.")
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    help="Data to profile: a folder of images, tables or TFRecord files.",
)
@click.argument("out", type=click.Path(path_type=Path), default=Path("diptych.yaml"))
def init_command(data: Path | None, out: Path) -> None:
    """Write a commented configuration to OUT (default: diptych.yaml) that fits the data.

    An uncertain guess is printed and is a comment that starts with CHECK. A run stops until all of
    these lines are deleted.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with exit_on_error():
        from diptych.cli.config_template import write_config_template

        guesses = write_config_template(data, out)
    for guess in guesses:
        click.echo(guess)
    if guesses:
        click.echo(
            f"Wrote {out}. Decide the lines that start with # CHECK and delete them, then run: "
            f"diptych run {out}"
        )
    else:
        click.echo(f"Wrote {out}. Check it, then run: diptych run {out}")
