"""Prometheus metrics of a night, for the node exporter or a Pushgateway."""

from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest, push_to_gateway

from diptych.schemas.files import atomic_write
from diptych.schemas.night import Night

_PREFIX = "diptych_nightly_"
_TIMEOUT_S = 10


def build_registry(night: Night, last_success: float) -> CollectorRegistry:
    """Build the gauges of a night; unknown values are omitted.

    Args:
      night: A night that has ended.
      last_success: When a call last succeeded, in seconds since 1970; 0: never.
    """
    assert night.ended is not None
    metrics = night.metrics
    version = night.version or (night.production.name if night.production else "")
    values = {
        "last_success_timestamp_seconds": ("End of the last call that succeeded.", last_success),
        "last_run_timestamp_seconds": ("End of the last call.", night.ended.timestamp()),
        "last_exit_code": ("Exit code of the last call.", night.exit_code),
        "duration_seconds": ("Time from the start of the night to its end.", night.seconds),
        "rejected_ratio": ("Share of rejected rows or images.", metrics.rejected),
        "accuracy": ("Accuracy of the new model on the test pairs.", metrics.accuracy),
        "production_accuracy": (
            "Accuracy of the model in production on the same pairs.",
            metrics.production_accuracy,
        ),
        "baseline_accuracy": (
            "Accuracy of the plain distance between inputs on the same pairs.",
            metrics.baseline_accuracy,
        ),
        "pushed_version": (
            "Number of the last pushed version.",
            int(version) if version.isdecimal() else None,
        ),
    }
    registry = CollectorRegistry()
    for name, (documentation, value) in values.items():
        gauge = Gauge(_PREFIX + name, documentation, ["pipeline"], registry=registry)
        if value is not None:
            gauge.labels(night.pipeline).set(value)
    return registry


def write_metrics(registry: CollectorRegistry, path: Path) -> None:
    """Write metrics in Prometheus's text format, for the textfile collector."""
    with atomic_write(path) as tmp_path:
        tmp_path.write_bytes(generate_latest(registry))


def push_metrics(registry: CollectorRegistry, gateway: str, pipeline: str) -> None:
    """Send metrics to a Pushgateway; they replace those of the previous night.

    Raises:
      OSError: If the Pushgateway cannot be reached, or rejects the metrics.
    """
    push_to_gateway(
        gateway,
        job="diptych_nightly",
        registry=registry,
        grouping_key={"pipeline": pipeline},
        timeout=_TIMEOUT_S,
    )
