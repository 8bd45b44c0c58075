"""``diptych schema``: the JSON Schema of the configuration."""

from pathlib import Path

import click

from diptych.cli.path_type import FilePath
from diptych.cli.terminal_text import escape_control


@click.command("schema")
@click.option(
    "--out",
    type=FilePath(dir_okay=False),
    help="File to write; an existing file is replaced. Default: standard output.",
)
def schema_command(out: Path | None) -> None:
    """Print the JSON Schema of the configuration.

    Editors use it to complete and check the keys of a configuration file.
    """
    from diptych.schemas.config.json_schema import config_schema_text

    text = config_schema_text()
    if out is None:
        click.echo(text, nl=False)
        return
    from diptych.schemas.files import atomic_write

    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(out) as tmp_path:
            tmp_path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"Cannot write {out}: {error.strerror}.") from error
    click.echo(f"Wrote {escape_control(str(out))}")
