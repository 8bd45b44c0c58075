"""HTTP server: its socket, its timeouts and its shutdown."""

import asyncio
import contextlib
import ipaddress
import signal
import socket
from collections.abc import Iterator
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from diptych.schemas.errors import ServiceError
from diptych.serving.middleware import MAX_HEADERS_BYTES

_MAX_CONNECTIONS = 256
_HEADERS_TIMEOUT_S = 10.0  # from the connection, or from the first bytes of a later request
_SHUTDOWN_TIMEOUT_S = 20


class _HeadersTimeoutProtocol(H11Protocol):
    """Closes a connection if the headers of a request do not arrive in time.

    uvicorn itself has no such timeout.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        if self.cycle is not None and self.cycle.response_complete:
            self._start_timer()  # for the next request on this connection
        super().data_received(data)

    def _start_timer(self) -> None:
        self.loop.call_later(_HEADERS_TIMEOUT_S, self._close_if_unchanged, self.cycle)

    def _close_if_unchanged(self, cycle: Any) -> None:
        if self.cycle is cycle:
            self.transport.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave signals to ``run_server``: uvicorn would end the process before Ray stops."""
        yield


def bind_socket(host: str, port: int) -> socket.socket:
    """Bind a port, before any slow initialization.

    Raises:
      ServiceError: If the port is in use, or the address is not of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise ServiceError(
            f"Cannot listen on {host} port {port}: {error.strerror}. If another program uses the "
            "port, stop it, or choose another port with --port."
        ) from error
    return bound


def is_loopback(host: str) -> bool:
    """Return True if only programs on this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def run_server(app: Any, bound: socket.socket, stop: asyncio.Event) -> None:
    """Serve until ``stop`` is set or SIGINT or SIGTERM arrives; then finish the open requests."""
    server = _Server(
        uvicorn.Config(
            app,
            http=_HeadersTimeoutProtocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_MAX_CONNECTIONS,
            h11_max_incomplete_event_size=MAX_HEADERS_BYTES,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_SHUTDOWN_TIMEOUT_S,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    async def exit_on_stop() -> None:
        await stop.wait()
        server.should_exit = True

    exit_task = asyncio.create_task(exit_on_stop())
    try:
        await server.serve(sockets=[bound])
    finally:
        exit_task.cancel()
