"""``diptych submit``: a compiled pipeline to Kubeflow Pipelines."""

from pathlib import Path

import click

from diptych.cli.errors import explained


@click.command()
@click.option(
    "--host",
    envvar="KF_PIPELINES_ENDPOINT",
    required=True,
    help="Address of Kubeflow Pipelines; default: the variable KF_PIPELINES_ENDPOINT.",
)
@click.option("--namespace", help="Your namespace, where users have their own.")
@click.option(
    "--schedule",
    "scheduled",
    is_flag=True,
    help="Run it by the section nightly of CONFIG, in place of a former schedule.",
)
@click.argument("config", type=click.Path(path_type=Path))
@click.argument("pipeline", type=click.Path(path_type=Path))
def submit(config: Path, pipeline: Path, host: str, namespace: str | None, scheduled: bool) -> None:
    """Uploads PIPELINE, compiled from CONFIG for Kubeflow, and starts a run of it.

    With --schedule it runs every night. Submitted again, there is still one schedule.
    """
    from diptych.pipeline.runners.kubeflow.compiling import pipeline_name
    from diptych.pipeline.runners.kubeflow.submitting import Server, read_compiled
    from diptych.schemas.config.loading import load_config
    from diptych.schemas.errors import ConfigError

    with explained():
        settings, compiled = load_config(config), read_compiled(pipeline)
        if compiled.name != pipeline_name(settings):
            raise ConfigError(
                f"{pipeline} is the pipeline {compiled.name}, and {config} describes "
                f"{pipeline_name(settings)}. Compile it again."
            )
        server = Server(host, namespace)
        if not scheduled:
            done = server.run(compiled)
        else:
            done = server.schedule(compiled, settings.nightly.schedule)
    click.echo(f"Pipeline  {done.pipeline}, version {done.version}")
    if not scheduled:
        click.echo(f"Run       {done.address}")
        return
    unchanged = ", unchanged" if done.unchanged else ""
    click.echo(f"Schedule  {settings.nightly.schedule}{unchanged}")
    click.echo(f"          {done.address}")
    if settings.nightly.timezone != "UTC":
        click.echo(
            "Note      a schedule has no time zone of its own there: set that of the installation, "
            f"CRON_SCHEDULE_TIMEZONE of ml-pipeline-scheduledworkflow, to "
            f"{settings.nightly.timezone}. Its default is UTC.",
            err=True,
        )
