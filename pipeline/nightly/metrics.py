"""What Prometheus is told of a night: in a file for the node exporter, and through a gateway."""

from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest, push_to_gateway

from diptych.pipeline.nightly.night import Night
from diptych.schemas.files import whole_file

_NAME = "diptych_nightly_"
_TIMEOUT_S = 10


def metrics_of(night: Night, last_success: float) -> CollectorRegistry:
    """Gauges of a night that has ended; a figure that is not known is left out.

    Args:
      night: that has ended.
      last_success: when the pipeline worked last, in seconds since 1970; 0: never.
    """
    assert night.ended is not None
    figures = night.figures
    version = night.version or (night.production.name if night.production else "")
    values = {
        "last_success_timestamp_seconds": ("Last night without a failure.", last_success),
        "last_run_timestamp_seconds": ("End of the last night.", night.ended.timestamp()),
        "last_exit_code": ("Of the last night.", night.exit_code),
        "duration_seconds": ("From its first start to its end.", night.seconds),
        "rejected_ratio": ("Rows or images set aside.", figures.rejected),
        "accuracy": ("Of its model, on test pairs.", figures.accuracy),
        "production_accuracy": ("Of the model in production.", figures.production_accuracy),
        "pushed_version": ("Pushed last.", int(version) if version.isdecimal() else None),
    }
    registry = CollectorRegistry()
    for name, (says, value) in values.items():
        gauge = Gauge(_NAME + name, says, ["pipeline"], registry=registry)
        if value is not None:
            gauge.labels(night.pipeline).set(value)
    return registry


def write_metrics(registry: CollectorRegistry, path: Path) -> None:
    """Writes them in Prometheus's text form, for the textfile collector."""
    with whole_file(path) as beside:
        beside.write_bytes(generate_latest(registry))


def push_metrics(registry: CollectorRegistry, gateway: str, pipeline: str) -> None:
    """Sends them to a Pushgateway, in place of those of the night before.

    Raises:
      OSError: it cannot be reached, or does not take them.
    """
    push_to_gateway(
        gateway,
        job="diptych_nightly",
        registry=registry,
        grouping_key={"pipeline": pipeline},
        timeout=_TIMEOUT_S,
    )
