"""``diptych init``: write a configuration for given data."""

import os
from pathlib import Path

import click

from diptych.cli.errors import exit_on_error
from diptych.cli.path_type import FilePath
from diptych.cli.terminal_text import escape_control, shell_argument


@click.command("init", short_help="Write a configuration that fits the data.")
@click.option(
    "--data",
    type=FilePath(),
    help="Data to profile: a folder of images, tables or TFRecord files.",
)
@click.argument("out", type=FilePath(), default=Path("diptych.yaml"))
def init_command(data: Path | None, out: Path) -> None:
    """Write a commented configuration to OUT (default: diptych.yaml) that fits the data.

    Prints what was recognised in the data. An uncertain guess starts with CHECK, here and in OUT. A
    run stops until all of these lines are deleted.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with exit_on_error():
        from diptych.cli.config_template import write_config_template
        from diptych.schemas.config.loading import CHECK

        notes = write_config_template(data, out)
    for note in notes:
        click.echo(escape_control(note))
    if any(note.startswith(CHECK) for note in notes):
        check = "Decide the lines that start with # CHECK and delete them"
    else:
        check = "Check its section data"
    click.echo(
        f"Wrote {escape_control(str(out))}. {check}, then run: diptych run {shell_argument(out)}"
    )
