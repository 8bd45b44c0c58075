"""HTTP requests, up to the replicas: authentication, limits, routes, JSON, base64 and forms.

The replicas are replaced: they check examples like ``ModelReplica``, and answer with constants.
"""

import asyncio
import dataclasses
import functools
import json
import types
import urllib.parse

import h11
import numpy as np
from starlette.requests import ClientDisconnect

from diptych.components.common.images import prepare_image
from diptych.inference.pushed_model import PushedModel
from diptych.inference.raw_images import limits_of_model
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.manifest import ModelManifest, compute_digests
from diptych.serving.metrics import ServiceMetrics
from diptych.serving.middleware import AuthAndBodyLimitMiddleware
from diptych.serving.routes import Routes
from diptych.serving.served_model import ServedModel
from diptych.serving.shared_gallery import SharedGallery
from diptych.serving.version_watcher import VersionWatcher

from .scratch import check_message, new_folder

TOKEN = "secret"
TOKENS = (
    *(b"/compare", b"/identify", b"/enroll", b"/v1/models/", b":predict", b"/metadata", b"/docs/"),
    *(b"Authorization: Bearer secret", b"Content-Length: ", b"Content-Type: multipart/form-data"),
    *(b'"left"', b'"right"', b'"example"', b'"examples"', b'"label"', b'"k"', b'{"b64": "'),
    *(b'"instances"', b'"inputs"', b'"signature_name"', b'"compare"', b'"measure"', b"\\ud800"),
    *(b"data:image/png;base64,", b"1e999", b"NaN", b"1" * 400, b"[[[[", b"\r\n\r\n"),
)
_STATUSES = (200, 304, 400, 401, 403, 404, 405, 408, 409, 413, 415, 422, 503)


def check(data):
    """Refusals: documented statuses of 400 and above with ``{"error": TEXT}``.

    The first byte chooses a model of images or of vectors; the others are a request, which h11
    parses, as in the service.
    """
    kind, request = ("image", "vector")[data[:1] > b"M"], data[1:]
    parsed = _parse(request)
    if parsed is None:
        return
    scope, body = parsed
    status, content = _loop().run_until_complete(_respond(_app(kind), scope, body))
    if status is None:
        return
    assert status in _STATUSES, (status, content)
    if scope["path"] == "/enroll" and status == 200:
        _app.cache_clear()  # otherwise the gallery would grow without end
    if status >= 400:
        if scope["method"] != "HEAD":
            check_message(json.loads(content)["error"])
    elif scope["method"] == "POST":
        json.loads(content, parse_constant=lambda constant: 1 / 0)


def _parse(request):
    """Return the ASGI scope and the body; None if the server refuses the request itself."""
    connection = h11.Connection(h11.SERVER, 65_536)
    head, separator, body = request.partition(b"\n\n")  # short for \r\n, and without a length
    head = head.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
    if b"content-length" not in head.lower() and b"transfer-encoding" not in head.lower():
        head += b"\r\nContent-Length: %d" % len(body)
    try:
        connection.receive_data(head + (b"\r\n\r\n" if separator else b"") + body)
        event = connection.next_event()
        if not isinstance(event, h11.Request):
            return None
        chunks = []
        while isinstance(part := connection.next_event(), h11.Data):
            chunks.append(bytes(part.data))
        chunks += [] if isinstance(part, h11.EndOfMessage) else [None]
    except h11.RemoteProtocolError:
        return None
    raw_path, _, query = event.target.partition(b"?")
    path = urllib.parse.unquote(raw_path.decode("ascii"))
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": event.http_version.decode("ascii"),
        "method": event.method.decode("ascii"),
        "scheme": "http",
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in event.headers],
        "server": ("127.0.0.1", 8501),
        "client": ("127.0.0.1", 50_000),
        "state": {},
    }
    return scope, chunks


async def _respond(app, scope, chunks):
    """Return status and body of the response; None if the client has left before it."""
    messages = [
        {"type": "http.disconnect"}
        if chunk is None
        else {"type": "http.request", "body": chunk, "more_body": True}
        for chunk in chunks
    ]
    if chunks[-1:] != [None]:
        messages.append({"type": "http.request", "body": b"", "more_body": False})
    messages.reverse()
    sent = []

    async def receive():
        return messages.pop() if messages else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    try:
        await app(scope, receive, send)
    except ClientDisconnect:
        return None, b""
    if not sent:
        assert chunks[-1:] == [None]
        return None, b""
    return sent[0]["status"], b"".join(message.get("body", b"") for message in sent[1:])


@functools.cache
def _loop():
    return asyncio.new_event_loop()


@functools.cache
def _app(kind):
    folder = _push(kind)
    metrics = ServiceMetrics()

    def load(path):
        pushed = PushedModel(path)
        return _Model(pushed, _Replicas(pushed.manifest), num_replicas=1, metrics=metrics)

    watcher = VersionWatcher(folder, load, unload=lambda model: None, check=lambda model: None)
    _loop().run_until_complete(watcher.poll())
    return AuthAndBodyLimitMiddleware(
        Routes(watcher, metrics, SharedGallery(new_folder())).create_app(),
        token=TOKEN,
        allowed_hosts=frozenset({"localhost"}),
        max_body_bytes=lambda: watcher.newest_model.request_limits.max_body_bytes,
        max_total_bytes=1 << 24,
        metrics=metrics,
    )


@functools.cache
def _push(kind):
    folder = new_folder() / "1"
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(b"never loaded")
    inputs = {"columns": (Column(name="a", width=2),)} if kind == "vector" else {}
    inputs |= {"size": (8, 8), "channels": 1} if kind == "image" else {}
    ModelManifest(
        name="birds",
        version=1,
        created="2026-11-21T02:10:00+00:00",
        inputs=InputSpec(kind=kind, **inputs),
        embedding_size=2,
        distance="euclidean",
        threshold=0.5,
        data={},
        metrics={},
        configuration={"data": {"max_bytes": 4096, "max_pixels": 4096}},
        packages={},
        files=compute_digests(folder),
    ).write(folder)
    return folder.parent


@dataclasses.dataclass(frozen=True, eq=False)
class _Model(ServedModel):
    """A version whose replicas answer in this process."""

    def distance(self, left, right):
        return np.linalg.norm(left - right, axis=1)

    async def _call(self, method, *arguments):
        await asyncio.sleep(0)
        return method(*arguments)


class _Replicas:
    """The methods of ``ModelReplica``, without its graph: all embeddings are zero."""

    def __init__(self, manifest):
        self._manifest = manifest

    def embed(self, raw):
        problems = {}
        if self._manifest.inputs.kind == "image":
            limits = limits_of_model(self._manifest)
            prepared = [prepare_image(example, limits) for example in raw]
            problems = {i: text for i, text in enumerate(prepared) if isinstance(text, str)}
        else:
            assert np.isfinite(np.stack(raw)).all()
        embeddings = np.zeros((len(raw), self._manifest.embedding_size), np.float32)
        return types.SimpleNamespace(embeddings=embeddings, problems=problems, batches=())

    def compare(self, left, right):
        return self.embed([*left, *right]), np.zeros(len(left), np.float32)

    def distance(self, left, right):
        return np.linalg.norm(left - right, axis=1)
