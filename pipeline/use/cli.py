"""The commands that use a pushed model."""

import dataclasses
import json
import time
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

    Each is an image, or a row of a CSV or Parquet table, as a spreadsheet counts: birds.csv:12.
    The header of a CSV file is row 1.

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
    from diptych.pipeline.use.embed import described, rejected_beside
    from diptych.pipeline.use.quietly import quietly

    if options and not runner:
        raise click.UsageError("--beam-option goes with --runner.")
    started = time.perf_counter()
    with quietly() as console:
        pushed = load_model(model)
        if runner is None:
            from diptych.pipeline.use import embed as here

            written = here.embed(pushed, path, out, console)
        else:
            from diptych.pipeline.use.embed_beam import beam_settings, embed_with_beam

            written = embed_with_beam(pushed, path, out, beam_settings(runner, options))
    seconds = time.perf_counter() - started
    click.echo(
        f"Wrote {out}: {written.num_embedded:,} embeddings of {pushed.manifest.embedding_size} "
        f"numbers by {pushed.manifest.name}, version {pushed.version}, in {seconds:.1f} s"
    )
    if written.num_rejected:
        listed = out / "_rejected" if runner else rejected_beside(out)
        click.echo(f"{described(written)} All are listed in {listed}")
