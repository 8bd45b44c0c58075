"""``diptych submit``: submit a compiled pipeline to Kubeflow Pipelines."""

from pathlib import Path

import click

from diptych.cli.errors import exit_on_error
from diptych.cli.path_type import FilePath


@click.command("submit", short_help="Submit a compiled pipeline to Kubeflow Pipelines.")
@click.option(
    "--host",
    envvar="KF_PIPELINES_ENDPOINT",
    required=True,
    help="Address of Kubeflow Pipelines; default: the variable KF_PIPELINES_ENDPOINT.",
)
@click.option("--namespace", help="Your namespace, in an installation for several users.")
@click.option(
    "--schedule",
    "scheduled",
    is_flag=True,
    help="Run on the schedule of the section nightly of CONFIG; replaces an earlier schedule.",
)
@click.argument("config", type=FilePath())
@click.argument("pipeline", type=FilePath())
def submit_command(
    config: Path, pipeline: Path, host: str, namespace: str | None, scheduled: bool
) -> None:
    """Upload PIPELINE, compiled from CONFIG for Kubeflow, and start a run of it.

    With --schedule, the pipeline runs every night. Submit it again to update the schedule.
    """
    from diptych.pipeline.runners.kubeflow.compiling import pipeline_name
    from diptych.pipeline.runners.kubeflow.submitting import KubeflowClient, read_compiled_pipeline
    from diptych.schemas.config.loading import load_config
    from diptych.schemas.errors import ConfigError

    with exit_on_error():
        loaded, compiled = load_config(config), read_compiled_pipeline(pipeline)
        if compiled.name != pipeline_name(loaded):
            raise ConfigError(
                f"{pipeline} is the pipeline {compiled.name}, but {config} describes "
                f"{pipeline_name(loaded)}. Compile it again."
            )
        client = KubeflowClient(host, namespace)
        if scheduled:
            submitted = client.schedule(compiled, loaded.nightly.schedule)
        else:
            submitted = client.run(compiled)
    click.echo(f"Pipeline  {submitted.pipeline}, version {submitted.version}")
    if not scheduled:
        click.echo(f"Run       {submitted.url}")
        return
    unchanged = ", unchanged" if submitted.unchanged else ""
    click.echo(f"Schedule  {loaded.nightly.schedule}{unchanged}")
    click.echo(f"          {submitted.url}")
    if loaded.nightly.timezone != "UTC":
        click.echo(
            "Note      Kubeflow Pipelines uses one time zone for all schedules, by default UTC. "
            "Set CRON_SCHEDULE_TIMEZONE of ml-pipeline-scheduledworkflow to "
            f"{loaded.nightly.timezone}.",
            err=True,
        )
