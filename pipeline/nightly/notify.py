"""The diary of the nights of a root, and their metrics."""

import http.client
from pathlib import Path

import click
import pydantic
from prometheus_client import CollectorRegistry

from diptych.pipeline.nightly.metrics import metrics_of, push_metrics, write_metrics
from diptych.pipeline.nightly.night import Night
from diptych.schemas.config.config import Config

DIARY, METRICS = "nights.jsonl", "nightly.prom"
_WORKS = (0, 3)  # exit codes of a pipeline that works, whether or not the model is better


def keep(night: Night, root: Path) -> CollectorRegistry:
    """Adds a summary to the diary, and writes the metrics, which it gives."""
    diary = root / DIARY
    with diary.open("ab") as file:
        file.write(night.model_dump_json().encode() + b"\n")
    registry = metrics_of(night, _last_success(diary, night.pipeline))
    write_metrics(registry, root / METRICS)
    return registry


def send_metrics(registry: CollectorRegistry, config: Config) -> None:
    """To the Pushgateway, if there is one; that it cannot be reached is told, and no failure."""
    gateway = config.nightly.pushgateway
    if gateway is None:
        return
    try:
        push_metrics(registry, gateway, config.name)
    except (OSError, http.client.HTTPException, ValueError) as error:
        click.echo(f"Warning: the Pushgateway has not taken the metrics: {error}.", err=True)


def _last_success(diary: Path, pipeline: str) -> float:
    """When a call last ended without a failure, in seconds since 1970; 0: never."""
    ended = 0.0
    for line in diary.read_bytes().splitlines():
        try:
            night = Night.model_validate_json(line)
        except pydantic.ValidationError:  # a line that was cut short, or of another form
            continue
        if night.pipeline == pipeline and night.exit_code in _WORKS and night.ended is not None:
            ended = night.ended.timestamp()
    return ended
