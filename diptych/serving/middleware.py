"""What stands before the routes: who may ask, from where, and how much may come.

Ray Serve's own proxy reads a body as fast as it comes into a queue without a bound, before any
route sees it; so the service has a door of its own, and Ray Serve behind it.
"""

import asyncio
import dataclasses
import hmac
import json
import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from diptych.serving.http_errors import Refusal
from diptych.serving.metrics import Metrics

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_OPEN = ("/", "/healthz")  # without a token: they tell nothing of data or figures
_BODY_TIMEOUT_S = 30.0
_DRAIN_S = 2.0
_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)
_log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Door:
    """Wraps an application of ASGI, which finds the whole body in ``scope["diptych.body"]``.

    Args:
      app: of the routes.
      token: asked for on every route but two.
      hosts: that a request may name, without the port; None: any. On loopback, another name is
        that of a page which has had its name pointed at this machine (DNS rebinding).
      max_body: bytes that a request may have now.
      max_held: bytes of all bodies together that are held at a time.
      metrics: counts and times.
    """

    app: App
    token: str
    hosts: frozenset[str] | None
    max_body: Callable[[], int]
    max_held: int
    metrics: Metrics
    _held: list[int] = dataclasses.field(default_factory=lambda: [0])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":  # no lifespan, no WebSocket
            return
        started, codes = time.perf_counter(), [500]

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                codes[0] = message["status"]
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        body = _Body(receive)
        try:
            await self._serve(scope, body, answer)
        except _GoneError:  # the client; nobody is there to be answered
            codes[0] = 499
        finally:
            self._held[0] -= body.held
            route = getattr(scope.get("route"), "path", "other")
            self.metrics.answered(route, codes[0], time.perf_counter() - started)

    async def _serve(self, scope: Scope, body: "_Body", answer: Send) -> None:
        headers = dict(scope["headers"])
        try:
            self._admit(scope, headers)
            scope["diptych.body"] = await self._read(headers, body)
        except Refusal as refusal:
            await refuse(answer, refusal)
            await body.drain(_DRAIN_S)  # or a client that is sending would not read the answer
            await answer({"type": "http.response.body", "body": b""})
            return
        await self.app(scope, body.receive, answer)

    def _admit(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        host = _name(headers.get(b"host", b"").decode("latin-1"))
        if self.hosts is not None and host not in self.hosts:
            raise Refusal(403, f"This service answers to {', '.join(sorted(self.hosts))} alone.")
        if scope["path"] in _OPEN and scope["method"] in ("GET", "HEAD"):
            return
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        if kind.lower() != b"bearer" or not hmac.compare_digest(
            token.strip(), self.token.encode("ascii")
        ):
            raise Refusal(
                401,
                "Needed is the header 'Authorization: Bearer TOKEN' with the token "
                "that the service printed when it started.",
            )

    async def _read(self, headers: dict[bytes, bytes], body: "_Body") -> bytes:
        limit = self.max_body()
        too_large = Refusal(413, f"The request is larger than {limit} bytes.")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 15 or int(length) > limit:
            raise too_large
        try:
            async with asyncio.timeout(_BODY_TIMEOUT_S):
                async for chunk in body:
                    self._held[0] += len(chunk)
                    if body.held > limit:
                        raise too_large
                    if self._held[0] > self.max_held:
                        raise Refusal(
                            503, "The service has too many large requests at once. Try again."
                        )
        except TimeoutError:
            raise Refusal(408, f"The request did not come within {_BODY_TIMEOUT_S:g} s.") from None
        return body.whole()


class _GoneError(Exception):
    """The client has gone before its request was whole."""


class _Body:
    """The body of one request as it comes."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.held = 0
        self._chunks: list[bytes] = []
        self._more = True

    async def __aiter__(self) -> Any:
        while self._more:
            chunk = await self._next()
            self._chunks.append(chunk)
            self.held += len(chunk)
            yield chunk

    def whole(self) -> bytes:
        whole = b"".join(self._chunks)
        self._chunks.clear()
        return whole

    async def drain(self, seconds: float) -> None:
        """Throws away what else comes, for a while."""
        self._chunks.clear()
        try:
            async with asyncio.timeout(seconds):
                while self._more:
                    await self._next()
        except TimeoutError:
            return

    async def _next(self) -> bytes:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise _GoneError
        self._more = message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk


async def refuse(send: Send, refusal: Refusal) -> None:
    """The head and the body of an error, as TensorFlow Serving has them; the end is still open."""
    body = json.dumps({"error": refusal.reason}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    if refusal.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _name(host: str) -> str:
    """Of a Host header, without the port."""
    if host.startswith("["):  # [::1]:8501
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
