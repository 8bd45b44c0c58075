"""In-memory fake of the API of Kubeflow Pipelines, v2beta1, with the parts that submit needs."""

import email
import itertools
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

_BASE = "/apis/v2beta1"


class KubeflowApi:
    """HTTP server on a free port.

    ``requests`` has (method, path, parameters, body) of each request; ``errors`` maps
    (method, path) to the (status, body) to respond with.
    """

    def __init__(self, token=None):
        self.requests, self.errors = [], {}
        self.pipelines, self.versions, self.experiments = [], [], []
        self.runs, self.recurring = [], []
        self._token, self._numbers = token, itertools.count(1)
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self._answer()

            do_POST = do_DELETE = do_GET

            def _answer(self):
                address = urlsplit(self.path)
                parameters = {key: one for key, (one,) in parse_qs(address.query).items()}
                content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                status, answer = api._answer(
                    self.command,
                    address.path.removeprefix(_BASE),
                    parameters,
                    _read(self.headers, content),
                    self.headers.get("Authorization"),
                )
                body = json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *arguments):
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.host = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()

    def changes(self):
        """Return (method, path) of the requests other than GET."""
        return [(method, path) for method, path, *_ in self.requests if method != "GET"]

    def _answer(self, method, path, parameters, body, authorization):
        if self._token and authorization != f"Bearer {self._token}":
            return 401, {"message": "no token"}
        self.requests.append((method, path, parameters, body))
        if (method, path) in self.errors:
            return self.errors[method, path]
        if path == "/healthz":
            return 200, {"multi_user": False}
        if path == "/pipelines/upload":
            made = self._made("pipeline_id", {"display_name": parameters["name"]}, self.pipelines)
            self._version(made["pipeline_id"], parameters["name"], body)
            return 200, made
        if path == "/pipelines/upload_version":
            return 200, self._version(parameters["pipelineid"], parameters["name"], body)
        if found := re.fullmatch(r"/pipelines/(.+)/versions", path):
            own = [one for one in self.versions if one["pipeline_id"] == found[1]]
            return 200, {"pipeline_versions": _filtered(own, parameters)}
        if found := re.fullmatch(r"/recurringruns/(.+)", path):
            self.recurring = [one for one in self.recurring if one["recurring_run_id"] != found[1]]
            return 200, {}
        kept, key = {
            "/pipelines": (self.pipelines, "pipeline_id"),
            "/experiments": (self.experiments, "experiment_id"),
            "/runs": (self.runs, "run_id"),
            "/recurringruns": (self.recurring, "recurring_run_id"),
        }[path]
        if method == "POST":
            return 200, self._made(key, body, kept)
        name = {"/recurringruns": "recurringRuns"}.get(path, path.removeprefix("/"))
        return 200, {name: _filtered(kept, parameters)}

    def _version(self, pipeline, name, body):
        version = {"pipeline_id": pipeline, "display_name": name, "pipeline_spec": body}
        return self._made("pipeline_version_id", version, self.versions)

    def _made(self, key, thing, kept):
        made = {**thing, key: f"{key.removesuffix('_id')}-{next(self._numbers)}"}
        kept.append(made)
        return made


def _filtered(things, parameters):
    for predicate in json.loads(parameters.get("filter", "{}")).get("predicates", []):
        assert predicate["operation"] in ("EQUALS", 1)  # by name or by number
        things = [one for one in things if one[predicate["key"]] == predicate["stringValue"]]
    if experiment := parameters.get("experiment_id"):
        things = [one for one in things if one["experiment_id"] == experiment]
    return things


def _read(headers, content):
    """Parse JSON, or return the text of the file in a multipart form."""
    kind = headers.get("Content-Type", "")
    if not kind.startswith("multipart/"):
        return json.loads(content) if content else None
    form = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + content)
    (file,) = form.get_payload()
    return file.get_payload(decode=True).decode()
