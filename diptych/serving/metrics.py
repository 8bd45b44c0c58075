"""What the service counts and times, for Prometheus."""

from collections.abc import Iterable
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_EXAMPLES = (1, 2, 4, 8, 16, 32, 64)


class _Batch(Protocol):
    @property
    def size(self) -> int: ...
    @property
    def check_s(self) -> float: ...
    @property
    def model_s(self) -> float: ...


class Metrics:
    """All figures of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "diptych_requests", "Requests answered", ("route", "code"), registry=self._registry
        )
        self._latency = Histogram(
            "diptych_request_seconds",
            "From the head of a request to the end of its answer",
            ("route",),
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._batch_size = Histogram(
            "diptych_batch_examples",
            "Examples embedded at once",
            buckets=_EXAMPLES,
            registry=self._registry,
        )
        self._check = Histogram(
            "diptych_check_seconds",
            "Checks of the pictures of a batch",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._model = Histogram(
            "diptych_model_seconds",
            "Decoding and embedding of a batch",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._version = Gauge(
            "diptych_model_version", "Newest version served", registry=self._registry
        )
        self._refused = Gauge(
            "diptych_refused_versions", "Newer versions that are broken", registry=self._registry
        )

    def answered(self, route: str, code: int, seconds: float) -> None:
        """A request has ended."""
        self._requests.labels(route, str(code)).inc()
        self._latency.labels(route).observe(seconds)

    def count(self, batches: Iterable[_Batch]) -> None:
        """Batches have run."""
        for batch in batches:
            self._batch_size.observe(batch.size)
            self._check.observe(batch.check_s)
            self._model.observe(batch.model_s)

    def versions(self, newest: int, refused: int) -> None:
        """The newest one served, and how many newer ones are broken."""
        self._version.set(newest)
        self._refused.set(refused)

    def text(self) -> bytes:
        """All of it, in Prometheus's text format."""
        return generate_latest(self._registry)
