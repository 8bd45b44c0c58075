"""The commands that use a pushed model."""

import dataclasses
import json
from pathlib import Path

import click

from diptych.pipeline.use.model import load_model, model_option


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

    Each is an image, or a row of a CSV or Parquet table, counted from 0: birds.csv:12.

    Exit code 0 for same and for different; 1 where no answer can be given.
    """
    from diptych.pipeline.use import compare as of_two
    from diptych.pipeline.use.quietly import quietly

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
