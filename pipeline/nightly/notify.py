"""Run history of a pipeline root, and the metrics of its nights."""

import http.client
from pathlib import Path

import pydantic
from prometheus_client import CollectorRegistry

from diptych.pipeline.nightly.metrics import build_registry, push_metrics, write_metrics
from diptych.schemas.config.config import Config
from diptych.schemas.night import EXIT_CODES, Night

RUN_HISTORY = "nights.jsonl"
METRICS_FILE = "nightly.prom"
# The pipeline works, whether or not the new model is better.
_SUCCESS_CODES = (0, EXIT_CODES["not blessed"])


def append_to_history(night: Night, root: Path) -> CollectorRegistry:
    """Append a night to the run history, and write its metrics.

    Returns:
      The metrics, for ``send_metrics``.
    """
    history = root / RUN_HISTORY
    with history.open("ab") as file:
        file.write(night.model_dump_json().encode() + b"\n")
    registry = build_registry(night, _last_success(history, night.pipeline))
    write_metrics(registry, root / METRICS_FILE)
    return registry


def send_metrics(registry: CollectorRegistry, config: Config) -> str | None:
    """Send metrics to the Pushgateway of the configuration, if it names one.

    Returns:
      Why the metrics could not be sent; None on success.
    """
    gateway = config.nightly.pushgateway
    if gateway is None:
        return None
    try:
        push_metrics(registry, gateway, config.name)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"The Pushgateway did not accept the metrics: {error}."
    return None


def _last_success(history: Path, pipeline: str) -> float:
    """Return when a call last ended without a failure, in seconds since 1970; 0: never."""
    timestamp = 0.0
    for line in history.read_bytes().splitlines():
        try:
            night = Night.model_validate_json(line)
        except pydantic.ValidationError:  # an incomplete line, or an unexpected format
            continue
        if (
            night.pipeline == pipeline
            and night.exit_code in _SUCCESS_CODES
            and night.ended is not None
        ):
            timestamp = night.ended.timestamp()
    return timestamp
