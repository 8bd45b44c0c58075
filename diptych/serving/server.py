"""The server around the routes: its socket, its time limits, and how it ends."""

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

_CONNECTIONS = 256
_HEAD_TIMEOUT_S = 10.0  # from the start of a connection, or the first bytes of a later head
_MAX_HEAD = 16_384  # bytes
_DRAIN_S = 20


class _Protocol(H11Protocol):
    """Closes a connection on which the head of a request does not come to its end.

    uvicorn itself waits for it for ever.
    """

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        if self.cycle is not None and self.cycle.response_complete:
            self._expect_head()  # of the next request on this connection
        super().data_received(data)

    def _expect_head(self) -> None:
        self.loop.call_later(_HEAD_TIMEOUT_S, self._close_if_none_came, self.cycle)

    def _close_if_none_came(self, before: Any) -> None:
        if self.cycle is before:
            self.transport.close()


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """They are handled by ``run_server``; uvicorn would end the process before Ray is down."""
        yield


def listening_socket(host: str, port: int) -> socket.socket:
    """Takes a port, before anything slow begins.

    Raises:
      ServiceError: it is taken, or not of this machine.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.socket(family, kind, protocol)
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            taken.bind(address)
        except OSError:
            taken.close()
            raise
    except OSError as error:
        raise ServiceError(
            f"Cannot listen on {host} port {port}: {error.strerror}. Another program may have the "
            "port: end it, or name another one with --port."
        ) from error
    return taken


def is_loopback(host: str) -> bool:
    """Whether only programs of this machine can reach it."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


async def run_server(app: Any, taken: socket.socket, stop: asyncio.Event) -> None:
    """Answers until ``stop`` or a signal; then the requests that have begun come to their end."""
    server = _Server(
        uvicorn.Config(
            app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            loop="asyncio",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=_CONNECTIONS,
            h11_max_incomplete_event_size=_MAX_HEAD,
            timeout_keep_alive=30,
            timeout_graceful_shutdown=_DRAIN_S,
        )
    )
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)

    async def end() -> None:
        await stop.wait()
        server.should_exit = True

    ending = asyncio.create_task(end())
    try:
        await server.serve(sockets=[taken])
    finally:
        ending.cancel()
