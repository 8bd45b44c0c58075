"""Routes of the HTTP API."""

import asyncio
import contextlib
import importlib.metadata
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import numpy as np
from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse
from fastapi.security import HTTPBearer
from fastapi.staticfiles import StaticFiles
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from diptych.schemas.manifest import ModelManifest
from diptych.serving.api_models import (
    CandidateResponse,
    CompareRequest,
    CompareResponse,
    ContradictionResponse,
    EnrollOptions,
    EnrollRequest,
    EnrollResponse,
    ErrorResponse,
    HealthResponse,
    IdentifyOptions,
    IdentifyRequest,
    IdentifyResponse,
    ModelMetadataResponse,
    ModelStatusResponse,
    PredictRequest,
    PredictResponse,
    validate_body,
)
from diptych.serving.form import FormField, parse_form
from diptych.serving.http_errors import ApiError
from diptych.serving.json_examples import RawExamples, parse_json_examples
from diptych.serving.metrics import ServiceMetrics
from diptych.serving.middleware import BODY_KEY, PUBLIC_PATHS
from diptych.serving.page import SWAGGER_UI_FILES, render_docs_page, render_page
from diptych.serving.predict_protocol import (
    format_model_metadata,
    format_model_status,
    format_predictions,
    model_not_found_error,
    parse_predict,
)
from diptych.serving.request_limits import parse_json_object
from diptych.serving.served_model import ServedModel
from diptych.serving.shared_gallery import ReembeddedError, SharedGallery
from diptych.serving.version_watcher import NoVersionError, VersionWatcher

Handler = Callable[[Request], Awaitable[Response]]
# Only documents the token, which the middleware checks.
_DOCUMENTED_TOKEN = HTTPBearer(
    description="Token printed by `diptych serve`, or set by `DIPTYCH_TOKEN` or `--token-file`.",
    auto_error=False,
)
_MAX_REEMBEDDED = 3  # times that the gallery changes the version during one request
_MAX_VERSION_DIGITS = 19  # of an int64, as in TensorFlow Serving
_STATIC_CACHE_CONTROL = "max-age=86400"  # after a day, the browser checks the ETag
_RESPONSE_CLASSES: dict[str, type[Response]] = {"/": HTMLResponse, "/metrics": PlainTextResponse}


class Routes:
    """Handlers of all routes.

    Args:
      watcher: The served versions.
      metrics: Metrics of the service.
      gallery: Gallery of ``/identify`` and ``/enroll``, or None.
    """

    def __init__(
        self,
        watcher: VersionWatcher[ServedModel],
        metrics: ServiceMetrics,
        gallery: SharedGallery | None,
    ) -> None:
        self._watcher = watcher
        self._metrics = metrics
        self._gallery = gallery
        self._swagger_ui = StaticFiles(packages=[("fastapi_offline", "static")])

    def create_app(self) -> FastAPI:
        """Create the application; ``/openapi.json`` describes it."""
        app = FastAPI(
            title="Diptych",
            version=importlib.metadata.version("diptych"),
            # FastAPI's pages load scripts from another host, which could read the token.
            docs_url=None,
            redoc_url=None,
            redirect_slashes=False,
        )

        def get(path: str, handler: Handler, model: type[BaseModel] | None = None) -> None:
            _add_route(app, "GET", path, handler, model)

        def post(
            path: str, handler: Handler, model: type[BaseModel], content: dict[str, Any]
        ) -> None:
            _add_route(app, "POST", path, handler, model, content)

        get("/", self.page)
        app.add_api_route("/docs", self.docs_page, include_in_schema=False)
        app.add_api_route("/docs/{name}", self.docs_file, include_in_schema=False)
        get("/healthz", self.health, HealthResponse)
        get("/metrics", self.prometheus_metrics)
        post(
            "/compare",
            self.compare,
            CompareResponse,
            {**_json_content(CompareRequest), **_form_content(images=("left", "right"))},
        )
        post(
            "/identify",
            self.identify,
            IdentifyResponse,
            {
                **_json_content(IdentifyRequest),
                **_form_content(images=("picture",), options=IdentifyOptions),
            },
        )
        post(
            "/enroll",
            self.enroll,
            EnrollResponse,
            {
                **_json_content(EnrollRequest),
                **_form_content(image_lists=("picture",), options=EnrollOptions),
            },
        )
        for path in ("/v1/models/{name}", "/v1/models/{name}/versions/{version}"):
            post(f"{path}:predict", self.predict, PredictResponse, _json_content(PredictRequest))
            get(path, self.model_status, ModelStatusResponse)
            get(f"{path}/metadata", self.model_metadata, ModelMetadataResponse)
        app.add_exception_handler(ApiError, _handle_api_error)
        app.add_exception_handler(NoVersionError, _handle_no_version)
        app.add_exception_handler(HTTPException, _handle_unknown_route)
        app.add_exception_handler(Exception, _handle_unexpected_error)
        return app

    async def page(self, request: Request) -> Response:
        """Page for comparing two examples in the browser."""
        manifest = self._watcher.newest_model.manifest
        html, policy = render_page(manifest, self._gallery is not None)
        return HTMLResponse(html, headers={"content-security-policy": policy})

    async def docs_page(self, request: Request) -> Response:
        """Page of Swagger UI, which describes and calls the API."""
        html, policy = render_docs_page()
        return HTMLResponse(html, headers={"content-security-policy": policy})

    async def docs_file(self, request: Request) -> Response:
        """Return a static file of Swagger UI, or status 304 if the browser has it."""
        name = request.path_params["name"]
        if name not in SWAGGER_UI_FILES:
            raise HTTPException(404)
        response = await self._swagger_ui.get_response(name, request.scope)
        response.headers["cache-control"] = _STATIC_CACHE_CONTROL
        return response

    async def health(self, request: Request) -> Response:
        """Return the served and the refused versions; status 200 while requests work, else 503."""
        served = self._watcher.served
        return _respond(
            HealthResponse(
                status="ok" if served else "unavailable",
                model=self._watcher.newest_model.manifest.name,
                versions=served,
                refused={
                    str(number): "damaged or does not load, see the log"
                    for number in self._watcher.refused
                },
            ),
            200 if served else 503,
        )

    async def prometheus_metrics(self, request: Request) -> Response:
        """Return the metrics in the Prometheus text format."""
        return Response(self._metrics.render(), media_type="text/plain; version=0.0.4")

    async def model_status(self, request: Request) -> Response:
        """Return the status of all versions or of one version, as TensorFlow Serving."""
        version = self._requested_version(request)
        statuses = [(number, "") for number in self._watcher.served]
        statuses += self._watcher.refused.items()
        if version is not None:
            statuses = [status for status in statuses if status[0] == version]
        if not statuses:
            raise model_not_found_error(request.path_params["name"], version)
        return JSONResponse(format_model_status(statuses))

    async def model_metadata(self, request: Request) -> Response:
        """Return the signatures of a version, as TensorFlow Serving."""
        with self._use_requested(request) as model:
            return JSONResponse(format_model_metadata(model.manifest))

    async def predict(self, request: Request) -> Response:
        """Call a signature of a version, as TensorFlow Serving."""
        with self._use_requested(request) as model:
            content = parse_json_object(_body_of(request), model.request_limits)
            call = parse_predict(content, model.manifest)
            if call.signature == "embed":
                ((name, raw),) = call.inputs.items()
                embeddings = await model.embed_examples(raw, lambda index: f"{name}[{index}]")
                outputs = {"embedding": embeddings}
            elif call.signature == "compare":
                outputs = await model.compare_examples(call.inputs["left"], call.inputs["right"])
            else:
                outputs = await model.compare_embeddings(
                    np.asarray(call.inputs["left"]), np.asarray(call.inputs["right"])
                )
            return JSONResponse(format_predictions(call, outputs))

    async def compare(self, request: Request) -> Response:
        """Compare two examples."""
        with self._watcher.use() as model:
            if _is_form(request):
                fields = _parse_image_form(request, model.manifest)
                left: RawExamples = _images_named(fields, "left")
                right: RawExamples = _images_named(fields, "right")
            else:
                content = parse_json_object(_body_of(request), model.request_limits)
                body = validate_body(CompareRequest, content)
                left, right = (
                    parse_json_examples([example], model.manifest, name)
                    for name, example in (("left", body.left), ("right", body.right))
                )
            if len(left) != 1 or len(right) != 1:
                raise ApiError(400, "The form must have one image 'left' and one image 'right'.")
            outputs = await model.compare_examples(left, right)
            return _respond(
                CompareResponse(
                    model=model.manifest.name,
                    version=model.manifest.version,
                    distance=float(outputs["distance"][0]),
                    same=bool(outputs["same"][0]),
                    threshold=float(outputs["threshold"][0]),
                )
            )

    async def identify(self, request: Request) -> Response:
        """Find the nearest classes of the gallery."""
        async with self._require_gallery().open(self._watcher) as (model, gallery):
            if _is_form(request):
                fields = _parse_image_form(request, model.manifest)
                raw: RawExamples = _images_named(fields, "picture")
                text = _text_named(fields, "k")
                k = validate_body(IdentifyOptions, {"k": text} if text else {}).k
            else:
                content = parse_json_object(_body_of(request), model.request_limits)
                body = validate_body(IdentifyRequest, content)
                raw, k = (
                    parse_json_examples([body.example], model.manifest, "example"),
                    body.k,
                )
            if len(raw) != 1:
                raise ApiError(400, "The form must have one image, in the field 'picture'.")
            embeddings = await model.embed_examples(raw, lambda index: "The example")
            (candidates,) = await asyncio.to_thread(gallery.identify, embeddings, k)
            return _respond(
                IdentifyResponse(
                    model=model.manifest.name,
                    version=model.manifest.version,
                    known=bool(candidates) and candidates[0].same,
                    candidates=[
                        CandidateResponse(
                            label=candidate.label,
                            distance=candidate.distance,
                            same=candidate.same,
                            source=candidate.source,
                        )
                        for candidate in candidates
                    ],
                    threshold=model.manifest.threshold,
                )
            )

    async def enroll(self, request: Request) -> Response:
        """Add examples of a class to the gallery."""
        for _ in range(_MAX_REEMBEDDED):
            with contextlib.suppress(ReembeddedError):
                return await self._enroll(request)
        raise ApiError(503, "The gallery is re-embedded again and again. Try again.")

    async def _enroll(self, request: Request) -> Response:
        """Embed and add the examples.

        Raises:
          ReembeddedError: If the gallery was re-embedded with another version in the meantime.
        """
        shared_gallery = self._require_gallery()
        async with shared_gallery.open(self._watcher) as (model, gallery):
            file_names: list[str] = []
            if _is_form(request):
                fields = _parse_image_form(request, model.manifest)
                raw: RawExamples = _images_named(fields, "picture")
                file_names = [field.filename for field in fields if field.name == "picture"]
                text = _text_named(fields, "label")
                label = validate_body(EnrollOptions, {} if text is None else {"label": text}).label
            else:
                content = parse_json_object(_body_of(request), model.request_limits)
                body = validate_body(EnrollRequest, content)
                raw = parse_json_examples(body.examples, model.manifest, "examples")
                label = body.label
            if not len(raw):
                raise ApiError(400, "The form must have at least one image 'picture'.")
            embeddings = await model.embed_examples(raw, lambda index: f"Example {index + 1}")
            result = await shared_gallery.enroll(gallery, label, embeddings, file_names, raw)
            return _respond(
                EnrollResponse(
                    model=model.manifest.name,
                    version=model.manifest.version,
                    label=label,
                    added=result.added,
                    known=result.known,
                    contradictions=[
                        ContradictionResponse(
                            source=contradiction.source, known_as=contradiction.known_as
                        )
                        for contradiction in result.contradictions
                    ],
                )
            )

    @contextlib.contextmanager
    def _use_requested(self, request: Request) -> Iterator[ServedModel]:
        """Yield the version named by the path; it stays loaded inside the context."""
        version = self._requested_version(request)
        if version is not None and version not in self._watcher.served:
            raise model_not_found_error(request.path_params["name"], version)
        with self._watcher.use(version) as model:
            yield model

    def _requested_version(self, request: Request) -> int | None:
        """Check the model name of the path, and return the version number or None."""
        name, text = request.path_params["name"], request.path_params.get("version")
        if text is not None and not (
            text.isascii() and text.isdigit() and len(text) <= _MAX_VERSION_DIGITS
        ):
            path = request.url.path[:200]
            raise ApiError(400, f"Malformed request: {request.method} {path}")
        version = None if text is None else int(text)
        if name != self._watcher.newest_model.manifest.name:
            raise model_not_found_error(name, version)
        return version

    def _require_gallery(self) -> SharedGallery:
        if self._gallery is None:
            raise ApiError(404, "This service has no gallery. Start it with --gallery DIR.")
        return self._gallery


def _add_route(
    app: FastAPI,
    method: str,
    path: str,
    handler: Handler,
    response_model: type[BaseModel] | None,
    request_content: dict[str, Any] | None = None,
) -> None:
    """Add a route with its OpenAPI description.

    Handlers read the request themselves, because FastAPI would parse the JSON before its size is
    checked. The description of bodies and path parameters is therefore explicit.
    """
    extra: dict[str, Any] = {
        "parameters": [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
            for name in ("name", "version")
            if f"{{{name}}}" in path
        ]
    }
    if request_content is not None:
        extra["requestBody"] = {"required": True, "content": request_content}
    is_public = path in PUBLIC_PATHS
    error_codes: tuple[int, ...] = (403,) if is_public else (401, 403, 404)
    if method == "POST":
        error_codes = (400, *error_codes, 408, 409, 413, 415, 503)
    app.add_api_route(
        path,
        handler,
        methods=[method],
        response_model=response_model,
        response_class=_RESPONSE_CLASSES.get(path, JSONResponse),
        responses={code: {"model": ErrorResponse} for code in error_codes},
        dependencies=[] if is_public else [Depends(_DOCUMENTED_TOKEN)],
        openapi_extra=extra,
    )


def _json_content(body_type: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": body_type.model_json_schema()}}


def _form_content(
    images: tuple[str, ...] = (),
    image_lists: tuple[str, ...] = (),
    options: type[BaseModel] | None = None,
) -> dict[str, Any]:
    file = {"type": "string", "format": "binary"}
    schema: dict[str, Any] = {"type": "object"} if options is None else options.model_json_schema()
    properties = dict.fromkeys(images, file)
    lists = {name: {"type": "array", "items": file} for name in image_lists}
    schema["properties"] = {**schema.get("properties", {}), **properties, **lists}
    schema["required"] = [*schema.get("required", ()), *images, *image_lists]
    return {"multipart/form-data": {"schema": schema}}


def _respond(body: BaseModel, status_code: int = 200) -> Response:
    return JSONResponse(body.model_dump(), status_code)


def _body_of(request: Request) -> bytes:
    body: bytes = request.scope[BODY_KEY]
    return body


def _is_form(request: Request) -> bool:
    content_type = request.headers.get("content-type", "")
    return content_type.partition(";")[0].strip().lower() == "multipart/form-data"


def _parse_image_form(request: Request, manifest: ModelManifest) -> list[FormField]:
    fields = parse_form(_body_of(request), request.headers["content-type"])
    if manifest.inputs.kind != "image":
        raise ApiError(415, "This model takes vectors: send JSON instead of a form.")
    return fields


def _images_named(fields: list[FormField], name: str) -> list[bytes]:
    return [field.content for field in fields if field.name == name]


def _text_named(fields: list[FormField], name: str) -> str | None:
    for field in fields:
        if field.name == name:
            try:
                return field.content.decode("utf-8")
            except UnicodeDecodeError:
                raise ApiError(400, f"The field '{name}' is not UTF-8.") from None
    return None


async def _handle_api_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # registered for no other class
    return JSONResponse({"error": error.detail}, error.status_code, error.headers)


async def _handle_no_version(request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"No version can be served: {error}"}, 503)


async def _handle_unknown_route(request: Request, error: Exception) -> Response:
    """Answer an unknown path or method; below ``/v1`` with status 400, as TensorFlow Serving."""
    assert isinstance(error, HTTPException)
    status_code = 400 if request.url.path.startswith("/v1/") else error.status_code
    message = f"Malformed request: {request.method} {request.url.path[:200]}"
    return JSONResponse({"error": message}, status_code, error.headers)


async def _handle_unexpected_error(request: Request, error: Exception) -> Response:
    """Answer after a bug; the server logs the traceback."""
    return JSONResponse({"error": "The service failed. See its log."}, 500)
