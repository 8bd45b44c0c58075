import re
from html.parser import HTMLParser

import pytest
from starlette.testclient import TestClient

from diptych.serving.metrics import ServiceMetrics
from diptych.serving.middleware import AuthAndBodyLimitMiddleware
from diptych.serving.routes import Routes
from diptych.serving.version_watcher import VersionWatcher

TOKEN = "a-token-of-some-length"
WITH_TOKEN = {"Authorization": f"Bearer {TOKEN}"}


@pytest.fixture(scope="module")
def routes_app(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    watcher = VersionWatcher(folder, lambda path: None, lambda model: None, lambda model: None)
    return Routes(watcher, ServiceMetrics(), None).create_app()


@pytest.fixture(scope="module")
def client(routes_app):
    """Client without a token."""
    app = AuthAndBodyLimitMiddleware(
        routes_app,
        token=TOKEN,
        allowed_hosts=frozenset(["127.0.0.1"]),
        max_body_bytes=lambda: 1000,
        max_total_bytes=1000,
        metrics=ServiceMetrics(),
    )
    return TestClient(app, base_url="http://127.0.0.1:8501")


class PageParser(HTMLParser):
    """Collects the addresses of a page, and the nonces of its scripts."""

    def __init__(self, html):
        super().__init__()
        self.urls, self.nonces = [], []
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        attributes = dict(attrs)
        self.urls += [attributes[key] for key in ("src", "href") if key in attributes]
        if tag == "script":
            self.nonces.append(attributes.get("nonce"))


def test_the_page_needs_no_token_and_loads_only_files_of_the_service(client):
    response = client.get("/docs")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/html")
    urls = [url for url in PageParser(response.text).urls if not url.startswith("data:")]
    assert set(urls) == {"/docs/swagger-ui.css", "/docs/swagger-ui-bundle.js"}
    types = {url: client.get(url).headers["content-type"].partition(";")[0] for url in urls}
    assert types["/docs/swagger-ui.css"] == "text/css"
    assert types["/docs/swagger-ui-bundle.js"] in ("text/javascript", "application/javascript")
    assert all(client.get(url).status_code == 200 for url in urls)
    assert not re.search(r"https?:|//\w", response.text)
    assert TOKEN not in response.text


def test_the_content_security_policy_allows_no_other_host_and_only_scripts_of_the_page(client):
    first, second = client.get("/docs"), client.get("/docs")
    policy = dict(
        directive.strip().split(" ", 1)
        for directive in first.headers["content-security-policy"].split(";")
    )
    (nonce,) = set(PageParser(first.text).nonces)
    assert nonce
    assert nonce not in second.text
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == f"'nonce-{nonce}'"
    assert policy["style-src"] == "'self'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert not re.search(r"unsafe|https?:|\*", " ".join(policy.values()))
    assert first.headers["referrer-policy"] == "no-referrer"
    assert first.headers["cache-control"] == "no-store"


def test_static_files_are_cached_and_revalidated(client):
    response = client.get("/docs/swagger-ui.css")
    assert response.headers.get_list("cache-control") == ["max-age=86400"]
    assert response.headers["x-content-type-options"] == "nosniff"
    headers = {"If-None-Match": response.headers["etag"]}
    unchanged = client.get("/docs/swagger-ui.css", headers=headers)
    assert (unchanged.status_code, unchanged.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "/docs/..%2fcore.py",
        "/docs/..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
        "/docs/%2e%2e",
        "/docs/swagger-ui.css%2f..%2f..%2fcore.py",
        "/docs/..%5ccore.py",
        "/docs/%2fetc%2fpasswd",
        "/docs/swagger-ui.css%00.js",
        "/docs/redoc.standalone.js",
        "/docs/",
    ],
)
def test_other_files_are_not_served(client, path):
    assert client.get(path, headers=WITH_TOKEN).status_code == 404
    assert client.get(path).status_code == 401


@pytest.mark.parametrize("path", ["/docs", "/docs/swagger-ui-bundle.js", "/openapi.json"])
def test_another_host_name_is_rejected(client, path):
    assert client.get(path, headers={"Host": "evil.example"}).status_code == 403


def test_every_other_route_needs_the_token(client):
    operations = 0
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, operation in methods.items():
            if path in ("/", "/healthz"):
                assert "security" not in operation
                continue
            url = path.format(name="birds", version="7") if "{" in path else path
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                response = client.request(method, url, headers=headers)
                assert response.status_code == 401, (method, path)
            assert operation["security"] == [{"HTTPBearer": []}]
            operations += 1
    assert operations == 10
    for path in ("/docs", "/openapi.json"):
        assert client.post(path).status_code == 401


def test_openapi_describes_every_route_with_its_requests_responses_and_the_token(
    client, routes_app
):
    document = client.get("/openapi.json").json()
    assert document["components"]["securitySchemes"]["HTTPBearer"]["type"] == "http"
    assert document["components"]["securitySchemes"]["HTTPBearer"]["scheme"] == "bearer"
    documented = {
        (path, method.upper()) for path, methods in document["paths"].items() for method in methods
    }
    undocumented = {"/docs", "/docs/{name}", "/openapi.json"}
    assert documented == {
        (route.path, method)
        for route in routes_app.routes
        if route.path not in undocumented
        for method in route.methods - {"HEAD"}
    }
    for path, method in documented:
        operation = document["paths"][path][method.lower()]
        contents = [operation["responses"]["200"]["content"]]
        if method == "POST":
            contents.append(operation["requestBody"]["content"])
        for content in contents:
            assert content
            assert all(media["schema"] for media in content.values()), (method, path)
