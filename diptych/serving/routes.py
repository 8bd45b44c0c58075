"""The routes."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from diptych.serving.form import Field, read_form
from diptych.serving.http_errors import Refusal
from diptych.serving.json_examples import Raw, raw_examples
from diptych.serving.metrics import Metrics
from diptych.serving.model_watch import ModelWatch
from diptych.serving.page import page
from diptych.serving.predict_protocol import (
    answer_predict,
    metadata,
    parse_predict,
    status_of,
    unknown_model,
)
from diptych.serving.request_limits import read_json
from diptych.serving.served_model import ServedModel
from diptych.serving.shared_gallery import SharedGallery

_log = logging.getLogger(__name__)
Handler = Callable[[Request], Awaitable[Response]]


class Routes:
    """What each route answers.

    Args:
      watch: the versions that are served.
      metrics: counts and times.
      gallery: for ``/identify`` and ``/enroll``; None: there is none.
    """

    def __init__(
        self, watch: ModelWatch[ServedModel], metrics: Metrics, gallery: SharedGallery | None
    ) -> None:
        self._watch = watch
        self._metrics = metrics
        self._gallery = gallery

    def app(self) -> FastAPI:
        """All of them."""
        app = FastAPI(openapi_url=None, redirect_slashes=False)  # its pages load scripts from afar
        routes: tuple[tuple[str, str, Handler], ...] = (
            ("GET", "/", self.page),
            ("GET", "/healthz", self.health),
            ("GET", "/metrics", self.text_of_metrics),
            ("POST", "/compare", self.compare),
            ("POST", "/identify", self.identify),
            ("POST", "/enroll", self.enroll),
            ("POST", "/v1/models/{name}:predict", self.predict),
            ("POST", "/v1/models/{name}/versions/{version}:predict", self.predict),
            ("GET", "/v1/models/{name}", self.status),
            ("GET", "/v1/models/{name}/versions/{version}", self.status),
            ("GET", "/v1/models/{name}/metadata", self.metadata),
            ("GET", "/v1/models/{name}/versions/{version}/metadata", self.metadata),
        )
        for method, path, handler in routes:
            app.add_api_route(path, handler, methods=[method], response_model=None)
        app.add_exception_handler(Refusal, _refused)
        app.add_exception_handler(HTTPException, _not_found)
        app.add_exception_handler(Exception, _failed)
        return app

    async def page(self, request: Request) -> Response:
        """Where one drops pictures."""
        html, policy = page(self._watch.newest.manifest, self._gallery is not None)
        return HTMLResponse(html, headers={"content-security-policy": policy})

    async def health(self, request: Request) -> Response:
        """200 as soon as requests are answered."""
        return JSONResponse(
            {
                "status": "ok",
                "model": self._watch.newest.manifest.name,
                "versions": self._watch.served,
                "refused": {
                    str(number): "broken, the log says why" for number in self._watch.refused
                },
            }
        )

    async def text_of_metrics(self, request: Request) -> Response:
        """For Prometheus."""
        return Response(self._metrics.text(), media_type="text/plain; version=0.0.4")

    async def status(self, request: Request) -> Response:
        """Which versions there are, in TensorFlow Serving's form."""
        version = self._named(request)
        found = [(number, "") for number in self._watch.served] + list(self._watch.refused.items())
        if version is not None:
            found = [one for one in found if one[0] == version]
        if not found:
            raise unknown_model(request.path_params["name"], version)
        return JSONResponse(status_of(found))

    async def metadata(self, request: Request) -> Response:
        """The signatures of a version."""
        with self._model(request) as model:
            return JSONResponse(metadata(model.manifest))

    async def predict(self, request: Request) -> Response:
        """A signature of a version."""
        with self._model(request) as model:
            content = read_json(_body(request), model.bounds)
            asked = parse_predict(content, model.manifest)
            if asked.signature == "embed":
                ((name, raw),) = asked.given.items()
                embeddings = await model.embed(raw, lambda at: f"{name}[{at}]")
                outputs = {"embedding": embeddings}
            elif asked.signature == "compare":
                outputs = await model.compare(asked.given["left"], asked.given["right"])
            else:
                outputs = await model.measure(
                    np.asarray(asked.given["left"]), np.asarray(asked.given["right"])
                )
            return JSONResponse(answer_predict(asked, outputs))

    async def compare(self, request: Request) -> Response:
        """Whether two examples are the same."""
        with self._newest() as model:
            if _is_form(request):
                fields = read_form(_body(request), request.headers["content-type"])
                left, right = _pictures(fields, "left", model), _pictures(fields, "right", model)
            else:
                content = read_json(_body(request), model.bounds)
                left, right = _one(content, "left", model), _one(content, "right", model)
            if len(left) != 1 or len(right) != 1:
                raise Refusal(400, "Needed is one picture as 'left' and one as 'right'.")
            found = await model.compare(left, right)
            return JSONResponse(
                {
                    "distance": float(found["distance"][0]),
                    "same": bool(found["same"][0]),
                    "threshold": float(found["threshold"][0]),
                    **_by(model),
                }
            )

    async def identify(self, request: Request) -> Response:
        """Which classes of the gallery an example is nearest to."""
        gallery = self._needed_gallery()
        async with gallery.model(self._watch) as (model, opened):
            if _is_form(request):
                fields = read_form(_body(request), request.headers["content-type"])
                raw, wanted = _pictures(fields, "picture", model), _text(fields, "k") or "5"
            else:
                content = read_json(_body(request), model.bounds)
                raw, wanted = _one(content, "example", model), str(content.get("k", 5))
            if len(raw) != 1:
                raise Refusal(400, "Needed is one picture, as the field 'picture'.")
            if not wanted.isascii() or not wanted.isdigit() or not 1 <= int(wanted[:4]) <= 100:
                raise Refusal(400, "k must be a whole number from 1 to 100.")
            embeddings = await model.embed(raw, lambda at: "The example")
            (candidates,) = await asyncio.to_thread(opened.identify, embeddings, int(wanted[:4]))
            return JSONResponse(
                {
                    "known": bool(candidates) and candidates[0].same,
                    "candidates": [
                        {
                            "label": one.label,
                            "distance": one.distance,
                            "same": one.same,
                            "source": one.source,
                        }
                        for one in candidates
                    ],
                    "threshold": model.manifest.threshold,
                    **_by(model),
                }
            )

    async def enroll(self, request: Request) -> Response:
        """Adds examples of a class to the gallery."""
        gallery = self._needed_gallery()
        async with gallery.model(self._watch) as (model, opened):
            sources: list[str] = []
            if _is_form(request):
                fields = read_form(_body(request), request.headers["content-type"])
                raw, label = _pictures(fields, "picture", model), _text(fields, "label")
                sources = [one.filename for one in fields if one.name == "picture"]
            else:
                content = read_json(_body(request), model.bounds)
                raw = raw_examples(content.get("examples"), model.manifest.inputs, "examples")
                label = content.get("label")
            if not isinstance(label, str) or not label.strip():
                raise Refusal(400, "Needed is 'label', the name of the class.")
            if not len(raw):
                raise Refusal(400, "Needed is at least one picture, as the field 'picture'.")
            embeddings = await model.embed(raw, lambda at: f"Example {at + 1}")
            enrolled = await gallery.enroll(opened, label.strip(), embeddings, sources, raw)
            return JSONResponse(
                {
                    "label": label.strip(),
                    "added": enrolled.added,
                    "known": enrolled.known,
                    "contradictions": [
                        {"source": one.source, "known_as": one.known_as}
                        for one in enrolled.contradictions
                    ],
                    **_by(model),
                }
            )

    @contextmanager
    def _newest(self) -> Iterator[ServedModel]:
        with self._watch.use() as model:
            yield model

    @contextmanager
    def _model(self, request: Request) -> Iterator[ServedModel]:
        """The one that the path names; it stays until the request has ended."""
        version = self._named(request)
        if version is not None and version not in self._watch.served:
            raise unknown_model(request.path_params["name"], version)
        with self._watch.use(version) as model:
            yield model

    def _named(self, request: Request) -> int | None:
        """The number of the version in the path, of which the name is looked at."""
        name, wanted = request.path_params["name"], request.path_params.get("version")
        if wanted is not None and not (wanted.isascii() and wanted.isdigit()):
            raise Refusal(400, f"Malformed request: {request.method} {request.url.path}")
        version = None if wanted is None else int(wanted[:20])
        if name != self._watch.newest.manifest.name:
            raise unknown_model(name, version)
        return version

    def _needed_gallery(self) -> SharedGallery:
        if self._gallery is None:
            raise Refusal(404, "This service has no gallery. Start it with --gallery DIR.")
        return self._gallery


def _by(model: ServedModel) -> dict[str, Any]:
    return {"model": model.manifest.name, "version": model.manifest.version}


def _body(request: Request) -> bytes:
    body: bytes = request.scope["diptych.body"]
    return body


def _is_form(request: Request) -> bool:
    kind = request.headers.get("content-type", "")
    return kind.partition(";")[0].strip().lower() == "multipart/form-data"


def _pictures(fields: list[Field], name: str, model: ServedModel) -> Raw:
    if model.manifest.inputs.kind != "image":
        raise Refusal(415, "This model takes vectors: send JSON, not a form.")
    return [field.content for field in fields if field.name == name]


def _text(fields: list[Field], name: str) -> str | None:
    for field in fields:
        if field.name == name:
            try:
                return field.content.decode("utf-8")
            except UnicodeDecodeError:
                raise Refusal(400, f"The field '{name}' is not UTF-8.") from None
    return None


def _one(content: dict[str, Any], name: str, model: ServedModel) -> Raw:
    if name not in content:
        raise Refusal(400, f"The request has no '{name}'.")
    return raw_examples([content[name]], model.manifest.inputs, name)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # it is registered for nothing else
    return JSONResponse({"error": error.reason}, error.status)


async def _not_found(request: Request, error: Exception) -> Response:
    """A path or a method that there is not; below /v1 as TensorFlow Serving answers."""
    assert isinstance(error, HTTPException)
    status = 400 if request.url.path.startswith("/v1/") else error.status_code
    reason = f"Malformed request: {request.method} {request.url.path[:200]}"
    return JSONResponse({"error": reason}, status, error.headers)


async def _failed(request: Request, error: Exception) -> Response:
    """A fault of ours; the server logs it with its trace."""
    return JSONResponse({"error": "The service failed; its log says how."}, 500)
