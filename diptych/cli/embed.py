"""The commands that use a pushed model."""

import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import click
import pydantic
import yaml

from diptych.cli.model_option import load_model, model_option
from diptych.schemas.config.beam import Beam
from diptych.schemas.errors import ConfigError


@click.command()
@click.argument("left", type=click.Path(path_type=Path))
@click.argument("right", type=click.Path(path_type=Path))
@model_option
@click.option(
    "--threshold",
    type=click.FloatRange(min=0),
    help="The largest distance that means same. Default: the calibrated one of the model.",
)
@click.option("--json", "as_json", is_flag=True, help="One line of JSON, for programs.")
def compare(
    left: Path, right: Path, model: Path | None, threshold: float | None, as_json: bool
) -> None:
    """Says whether LEFT and RIGHT are the same.

    Each is an image, or a row of a CSV or Parquet table, as a spreadsheet counts: birds.csv:12.
    The header of a CSV file is row 1.

    Exit code 0 for same and for different; 1 where no answer can be given.
    """
    from diptych.cli.quiet import quietly
    from diptych.inference import compare as of_two

    with quietly():
        answer = of_two.compare(load_model(model), left, right, threshold)
    if as_json:
        click.echo(json.dumps(dataclasses.asdict(answer)))
        return
    origin = "calibrated" if threshold is None else "as asked for"
    click.echo("same" if answer.same else "different")
    click.echo(f"  distance   {answer.distance:.4f}")
    click.echo(f"  threshold  {answer.threshold:.4f}, {origin}")
    click.echo(f"  model      {answer.model}, version {answer.version}")


@click.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="Parquet file to write; with --runner, a folder of them.",
)
@model_option
@click.option(
    "--runner",
    type=click.Choice(["local", "flink", "dataflow", "spark"]),
    help="Embeds with Beam, on this engine: for large data.",
)
@click.option(
    "--beam-option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the engine, as in the section beam of a configuration; may be repeated.",
)
def embed(
    path: Path, out: Path, model: Path | None, runner: str | None, options: tuple[str, ...]
) -> None:
    """Writes the embeddings of all images or rows at PATH, as Parquet.

    PATH is a folder of images, whose folders are labels; or a CSV or Parquet table, or a folder of
    them. Examples that cannot be used are set aside and listed, with the reason.
    """
    from diptych.cli.quiet import quietly
    from diptych.inference.embed import described, rejected_beside

    if options and not runner:
        raise click.UsageError("--beam-option goes with --runner.")
    started = time.perf_counter()
    with quietly() as console:
        pushed = load_model(model)
        if runner is None:
            from diptych.inference import embed as here

            written = here.embed(pushed, path, out, console)
        else:
            from diptych.inference.embed_beam import embed_with_beam
            from diptych.pipeline.engines import beam_args, check_reachable

            beam = _beam_settings(runner, options)
            check_reachable(beam)
            written = embed_with_beam(pushed, path, out, beam_args(beam))
    seconds = time.perf_counter() - started
    click.echo(
        f"Wrote {out}: {written.num_embedded:,} embeddings of {pushed.manifest.embedding_size} "
        f"numbers by {pushed.manifest.name}, version {pushed.version}, in {seconds:.1f} s"
    )
    if written.num_rejected:
        listed = out / "_rejected" if runner else rejected_beside(out)
        click.echo(f"{described(written)} All are listed in {listed}")


def _beam_settings(runner: str, options: tuple[str, ...]) -> Beam:
    """The section ``beam`` of a configuration, from the command line.

    Raises:
      ConfigError: an option is not ``KEY=VALUE``, or the runner needs others.
    """
    values: dict[str, Any] = {}
    for option in options:
        name, equals, text = option.partition("=")
        if not equals or not name:
            raise ConfigError(f"--beam-option needs KEY=VALUE, got {option!r}.")
        try:
            values[name] = yaml.safe_load(text)
        except yaml.YAMLError as error:
            raise ConfigError(f"--beam-option {name}: {text!r} is not a value.") from error
    try:
        return Beam.model_validate({"runner": runner, "options": values})
    except pydantic.ValidationError as error:
        problems = "; ".join(
            problem["msg"].removeprefix("Value error, ") for problem in error.errors()
        )
        raise ConfigError(f"--runner {runner}: {problems}.") from error
