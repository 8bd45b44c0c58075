"""Prometheus metrics of the service."""

from collections.abc import Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS_BUCKETS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_BATCH_SIZE_BUCKETS = (1, 2, 4, 8, 16, 32, 64)


class _BatchTiming(Protocol):
    @property
    def size(self) -> int: ...
    @property
    def check_s(self) -> float: ...
    @property
    def model_s(self) -> float: ...


class ServiceMetrics:
    """All metrics of one service, in a separate registry."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "diptych_requests", "Requests answered", ("route", "code"), registry=self._registry
        )
        self._latency = Histogram(
            "diptych_request_seconds",
            "Time from the request headers to the end of the response",
            ("route",),
            buckets=_SECONDS_BUCKETS,
            registry=self._registry,
        )
        self._batch_size = Histogram(
            "diptych_batch_examples",
            "Examples per batch",
            buckets=_BATCH_SIZE_BUCKETS,
            registry=self._registry,
        )
        self._check = Histogram(
            "diptych_check_seconds",
            "Time to check the images of a batch",
            buckets=_SECONDS_BUCKETS,
            registry=self._registry,
        )
        self._model = Histogram(
            "diptych_model_seconds",
            "Time to decode and embed a batch",
            buckets=_SECONDS_BUCKETS,
            registry=self._registry,
        )
        self._version = Gauge(
            "diptych_model_version", "Newest version served, 0 if none is", registry=self._registry
        )
        self._refused = Gauge(
            "diptych_refused_versions",
            "Newer versions that are damaged or fail to load",
            registry=self._registry,
        )

    def record_request(self, route: str, status_code: int, seconds: float) -> None:
        """Record a request at its end."""
        self._requests.labels(route, str(status_code)).inc()
        self._latency.labels(route).observe(seconds)

    def record_batches(self, batches: Iterable[_BatchTiming]) -> None:
        """Record batches at their end."""
        for batch in batches:
            self._batch_size.observe(batch.size)
            self._check.observe(batch.check_s)
            self._model.observe(batch.model_s)

    def set_versions(self, newest: int | None, num_refused: int) -> None:
        """Set the newest served version, or None, and the number of refused newer versions."""
        self._version.set(newest or 0)
        self._refused.set(num_refused)

    def render(self) -> bytes:
        """Render all metrics in the Prometheus text format."""
        return generate_latest(self._registry)
