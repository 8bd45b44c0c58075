"""Beam's in-process runner, with servers that other machines cannot reach."""

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

from apache_beam.runners.portability.fn_api_runner import FnApiRunner, worker_handlers

_ALL_INTERFACES, _LOOPBACK = "[::]:0", "localhost:0"


class LoopbackRunner(FnApiRunner):  # type: ignore[misc] # Beam has no types here
    """FnApiRunner whose servers for its workers listen on the loopback interface only.

    With several threads or processes, it starts servers for control, data, state and logs. They
    listen on all interfaces, need no token, and return any file that this user can read. The
    workers are on this machine.
    """

    def run_pipeline(self, pipeline: Any, options: Any) -> Any:
        """Run the pipeline until it ends."""
        with _loopback_servers():
            return super().run_pipeline(pipeline, options)


@contextlib.contextmanager
def _loopback_servers() -> Iterator[None]:
    """Change the address of the servers that Beam starts in the context; it is no setting."""
    grpc = worker_handlers.grpc

    def server(*args: Any, **kwargs: Any) -> Any:
        created = grpc.server(*args, **kwargs)
        add_port = created.add_insecure_port
        created.add_insecure_port = lambda address: add_port(
            _LOOPBACK if address == _ALL_INTERFACES else address
        )
        return created

    worker_handlers.grpc = SimpleNamespace(**{**vars(grpc), "server": server})
    try:
        yield
    finally:
        worker_handlers.grpc = grpc
