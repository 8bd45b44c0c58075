"""ASGI middleware for authentication and request size limits.

Ray Serve's proxy reads a body into an unbounded queue as fast as it arrives, before any route runs.
The service therefore runs a separate HTTP server with this middleware, and Ray Serve behind it.
"""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from starlette.requests import ClientDisconnect

from diptych.serving.http_errors import ApiError
from diptych.serving.metrics import ServiceMetrics
from diptych.serving.page import SWAGGER_UI_FILES

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_KEY = "diptych.body"
"""Key of the complete request body in the ASGI scope."""

PUBLIC_PATHS = frozenset(
    ("/", "/healthz", "/docs", "/openapi.json", *(f"/docs/{name}" for name in SWAGGER_UI_FILES))
)
"""Paths that need no token: they expose no data and no metrics."""

MAX_HEADERS_BYTES = 16_384
"""Maximum size of the request line and the headers together."""

_DRAIN_TIMEOUT_S = 2.0
_DEFAULT_HEADERS = (
    (b"cache-control", b"no-store"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class AuthAndBodyLimitMiddleware:
    """Check host, token and sizes, and store the complete body in ``scope[BODY_KEY]``.

    ``HEAD`` is answered as ``GET``; the server omits the body.

    Args:
      app: The ASGI application with the routes.
      token: Bearer token, required on every path except ``PUBLIC_PATHS``.
      allowed_hosts: Allowed ``Host`` headers, without port; None allows any. A service on loopback
        must reject other hosts: a web page could point its domain at this machine (DNS rebinding).
      max_body_bytes: Returns the current maximum size of a body.
      max_total_bytes: Maximum size of all bodies in memory.
      metrics: Metrics of the service.
      body_timeout_s: Time in which a body must arrive.
    """

    def __init__(
        self,
        app: App,
        *,
        token: str,
        allowed_hosts: frozenset[str] | None,
        max_body_bytes: Callable[[], int],
        max_total_bytes: int,
        metrics: ServiceMetrics,
        body_timeout_s: float = 30.0,
    ) -> None:
        self._app = app
        self._token = token
        self._allowed_hosts = allowed_hosts
        self._max_body_bytes = max_body_bytes
        self._max_total_bytes = max_total_bytes
        self._metrics = metrics
        self._body_timeout_s = body_timeout_s
        self._total_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle a request."""
        if scope["type"] != "http":  # no lifespan, no WebSocket
            return
        if scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        started = time.perf_counter()
        status_code = 500
        request_headers = {name for name, _ in scope["headers"]}
        # A proxy in front may have used the length (RFC 9112, section 6.1): what follows on this
        # connection may be part of this request to the proxy, and the next one to this server.
        must_close = request_headers >= {b"transfer-encoding", b"content-length"}

        async def send_with_headers(message: MutableMapping[str, Any]) -> None:
            nonlocal status_code
            if message["type"] == "http.response.start":
                status_code = message["status"]
                headers = list(message.get("headers", ()))
                names = {name for name, _ in headers}
                headers += [header for header in _DEFAULT_HEADERS if header[0] not in names]
                if must_close and b"connection" not in names:
                    headers.append((b"connection", b"close"))
                message["headers"] = headers
            await send(message)

        body = _BodyReader(receive)
        try:
            await self._handle(scope, body, send_with_headers)
        except ClientDisconnect:  # nobody can receive a response
            status_code = 499
        finally:
            self._total_bytes -= body.num_bytes
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.record_request(route, status_code, time.perf_counter() - started)

    async def _handle(self, scope: Scope, body: "_BodyReader", send: Send) -> None:
        headers = dict(scope["headers"])
        try:
            _check_headers_size(scope)
            self._authorize(scope, headers)
            scope[BODY_KEY] = await self._read_body(headers, body)
        except ApiError as error:
            await _send_error(send, error)
            # A client that is still sending would not read the response.
            await body.discard(_DRAIN_TIMEOUT_S)
            await send({"type": "http.response.body", "body": b""})
            return
        await self._app(scope, body.receive, send)

    def _authorize(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        host = _strip_port(headers.get(b"host", b"").decode("latin-1"))
        if self._allowed_hosts is not None and host not in self._allowed_hosts:
            allowed = ", ".join(sorted(self._allowed_hosts))
            raise ApiError(403, f"The Host header must be one of {allowed}.")
        if scope["path"] in PUBLIC_PATHS and scope["method"] == "GET":
            return
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not hmac.compare_digest(
            token.strip(), self._token.encode("ascii")
        ):
            raise ApiError(
                401,
                "The token is missing or wrong. Send the header 'Authorization: Bearer TOKEN' with "
                "the token that the service printed at startup.",
                headers={"WWW-Authenticate": "Bearer"},
            )

    async def _read_body(self, headers: dict[bytes, bytes], body: "_BodyReader") -> bytes:
        limit = self._max_body_bytes()
        too_large = ApiError(413, f"The request is larger than {limit} bytes.")
        length = headers.get(b"content-length", b"0")
        if not length.isdigit() or len(length) > 15 or int(length) > limit:
            raise too_large
        try:
            async with asyncio.timeout(self._body_timeout_s):
                async for chunk in body.read_chunks():
                    self._total_bytes += len(chunk)
                    if body.num_bytes > limit:
                        raise too_large
                    if self._total_bytes > self._max_total_bytes:
                        raise ApiError(
                            503, "The service is processing too many large requests. Try again."
                        )
        except TimeoutError:
            raise ApiError(
                408, f"The request body did not arrive within {self._body_timeout_s:g} s."
            ) from None
        return body.join()


class _BodyReader:
    """Incremental reader of one request body."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive
        self.num_bytes = 0
        self._chunks: list[bytes] = []
        self._has_more = True

    async def read_chunks(self) -> AsyncIterator[bytes]:
        while self._has_more:
            chunk = await self._receive_chunk()
            self._chunks.append(chunk)
            self.num_bytes += len(chunk)
            yield chunk

    def join(self) -> bytes:
        body = b"".join(self._chunks)
        self._chunks.clear()
        return body

    async def discard(self, timeout_s: float) -> None:
        """Receive and discard the rest of the body, until a timeout."""
        self._chunks.clear()
        try:
            async with asyncio.timeout(timeout_s):
                while self._has_more:
                    await self._receive_chunk()
        except TimeoutError:
            return

    async def _receive_chunk(self) -> bytes:
        message = await self.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        self._has_more = message.get("more_body", False)
        chunk: bytes = message.get("body", b"")
        return chunk


def _check_headers_size(scope: Scope) -> None:
    """Check what the server does not if all headers arrive at once.

    Raises:
      ApiError: If they are too large.
    """
    num_bytes = len(scope.get("raw_path", b"")) + len(scope.get("query_string", b""))
    num_bytes += sum(len(name) + len(value) + 4 for name, value in scope["headers"])
    if num_bytes > MAX_HEADERS_BYTES:
        raise ApiError(431, f"The headers are larger than {MAX_HEADERS_BYTES} bytes.")


async def _send_error(send: Send, error: ApiError) -> None:
    """Send an error response in the form of TensorFlow Serving, without the final ASGI message."""
    body = json.dumps({"error": error.detail}).encode()
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    for name, value in (error.headers or {}).items():
        headers.append((name.lower().encode("latin-1"), value.encode("latin-1")))
    await send({"type": "http.response.start", "status": error.status_code, "headers": headers})
    await send({"type": "http.response.body", "body": body, "more_body": True})


def _strip_port(host: str) -> str:
    if host.startswith("["):  # [::1]:8501
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
