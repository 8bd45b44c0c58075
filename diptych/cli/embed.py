"""``diptych compare`` and ``diptych embed``."""

import contextlib
import dataclasses
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from diptych.cli.model_option import find_model, load_pushed_model, model_option
from diptych.cli.options import json_option
from diptych.cli.path_type import FilePath
from diptych.cli.terminal_text import escape_control
from diptych.schemas.errors import ConfigError
from diptych.schemas.short_text import short_repr

if TYPE_CHECKING:
    from rich.console import Console

    from diptych.schemas.config.beam import BeamConfig


@click.command("compare", short_help="Compare two examples: same or different class.")
@click.argument("left", type=FilePath())
@click.argument("right", type=FilePath())
@model_option
@click.option(
    "--threshold",
    type=click.FloatRange(min=0),
    help="Maximum distance for the verdict same. Default: the calibrated threshold of the model.",
)
@json_option
def compare_command(
    left: Path, right: Path, model: Path | None, threshold: float | None, as_json: bool
) -> None:
    """Compare LEFT and RIGHT: the same class, or different classes.

    Each is an image, or a row of a table, such as birds.csv:12. Rows are counted from 1; the header
    of a CSV file is row 1.

    Exit code 0 for both verdicts; 1 on an error.
    """
    from diptych.cli.console import hide_library_output

    with hide_library_output():
        from diptych.api import load_model

        loaded = load_model(find_model(Path()) if model is None else model)
        result = loaded.compare(left, right, threshold)
    manifest = loaded.manifest
    if as_json:
        sides = {"left": str(left), "right": str(right)}
        version = {"model": manifest.name, "version": manifest.version}
        click.echo(json.dumps({**sides, **dataclasses.asdict(result), **version}))
        return
    origin = "calibrated" if threshold is None else "given"
    click.echo("same" if result.same else "different")
    click.echo(f"  distance   {result.distance:.4f}")
    click.echo(f"  threshold  {result.threshold:.4f}, {origin}")
    click.echo(f"  model      {manifest.name}, version {manifest.version}")


@click.command("embed", short_help="Write the embeddings of images or tables to Parquet.")
@click.argument("path", type=FilePath())
@click.option(
    "--out",
    type=FilePath(),
    required=True,
    help="Parquet file to write; with --runner, a folder of Parquet files.",
)
@model_option
@click.option(
    "--runner",
    type=click.Choice(["local", "flink", "dataflow", "spark"]),
    help="Embed with Beam on this engine, for large data.",
)
@click.option(
    "--beam-option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="Option of the engine, as in the section beam of a configuration; may be repeated.",
)
def embed_command(
    path: Path, out: Path, model: Path | None, runner: str | None, options: tuple[str, ...]
) -> None:
    """Write the embeddings of all images or rows at PATH to Parquet.

    For a model of images, PATH is a folder of images, whose subfolders are labels. For a model of
    vectors, it is a table or a folder of tables. Rejected examples are listed in a second file,
    with the reason.
    """
    from diptych.cli.console import hide_library_output
    from diptych.inference.embed import describe_rejected, rejected_path

    if options and not runner:
        raise click.UsageError("--beam-option requires --runner.")
    started = time.perf_counter()
    with hide_library_output() as console:
        pushed = load_pushed_model(model)
        if runner is None:
            from diptych.inference.embed import embed_files

            with show_progress_bar(console, "Embedding") as progress:
                result = embed_files(pushed, path, out, progress)
        else:
            from diptych.inference.embed_beam import embed_with_beam
            from diptych.pipeline.engines import beam_args, check_reachable

            beam = _beam_settings(runner, options)
            check_reachable(beam, out)
            result = embed_with_beam(pushed, path, out, beam_args(beam))
    seconds = time.perf_counter() - started
    manifest = pushed.manifest
    click.echo(
        f"Wrote {escape_control(str(out))}: {result.num_embedded:,} embeddings of "
        f"{manifest.embedding_size} numbers by {manifest.name}, version {manifest.version}, in "
        f"{seconds:.1f} s"
    )
    if result.num_rejected:
        listed = out / "_rejected" if runner else rejected_path(out)
        click.echo(f"{describe_rejected(result)} All are listed in {escape_control(str(listed))}")


@contextlib.contextmanager
def show_progress_bar(
    console: "Console", description: str
) -> Iterator[Callable[[int, int | None], None]]:
    """Show a progress bar if the console is a terminal.

    Yields:
      A function that updates the bar with the number of examples done and their total, which
      is None if unknown.
    """
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (TextColumn(description), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _beam_settings(runner: str, options: tuple[str, ...]) -> "BeamConfig":
    """Section ``beam`` of a configuration, from the command line.

    Raises:
      ConfigError: If an option is not ``KEY=VALUE``, or the runner requires other options.
    """
    import pydantic
    import yaml

    from diptych.schemas.config.beam import BeamConfig
    from diptych.schemas.yaml_text import parse_yaml

    values: dict[str, Any] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not equals or not name:
            raise ConfigError(f"--beam-option must be KEY=VALUE, got {short_repr(option)}.")
        try:
            values[name] = parse_yaml(text)
        except yaml.YAMLError as error:
            raise ConfigError(
                f"--beam-option {name}: {short_repr(text)} is not valid YAML."
            ) from error
    try:
        return BeamConfig.model_validate({"runner": runner, "options": values})
    except pydantic.ValidationError as error:
        problems = "; ".join(
            problem["msg"].removeprefix("Value error, ") for problem in error.errors()
        )
        raise ConfigError(f"--runner {runner}: {problems}.") from error
