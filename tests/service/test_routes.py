import json
import socket
import threading
import time

import httpx
import numpy as np
import pytest
from image_files import PICTURE, encode, exif, jpeg_with_scans, lossless_files, lossy_files
from PIL import Image
from processes import descendants
from service_runs import b64, decompression_bomb, grey, read_metrics, resident_bytes

from diptych.components.common.images import ImageLimits, prepare_image

DARK, LIGHT, NEARLY_DARK = grey(51), grey(204), grey(56)  # brightness 0.2, 0.8 and 0.22


def image_form(**images):
    return {name: (f"{name}.png", content, "image/png") for name, content in images.items()}


FILES = {
    **{name: encoded for name, (encoded, _) in lossless_files().items()},
    **lossy_files(),
    **{
        f"{kind}-orientation-{orientation}": encode(PICTURE, kind, exif=exif(orientation))
        for kind in ("PNG", "JPEG", "WEBP", "TIFF")
        for orientation in range(1, 9)
    },
}


@pytest.fixture
def client(service):
    with service.client() as client:
        yield client


def test_compare_accepts_a_form_and_json(client):
    by_form = client.post("/compare", files=image_form(left=DARK, right=LIGHT)).json()
    by_json = client.post("/compare", json={"left": b64(DARK), "right": b64(LIGHT)}).json()
    assert by_form == by_json
    assert by_form["distance"] == pytest.approx(1.2, abs=1e-5)  # 2 * |0.2 - 0.8|
    assert by_form["same"] is False
    assert (by_form["model"], by_form["version"], by_form["threshold"]) == ("birds", 7, 0.25)
    assert (
        client.post("/compare", files=image_form(left=DARK, right=NEARLY_DARK)).json()["same"]
        is True
    )


@pytest.mark.parametrize("path", ["/v1/models/birds", "/v1/models/birds/versions/7"])
def test_predict_responds_in_rows_and_columns(client, path):
    rows = client.post(f"{path}:predict", json={"instances": [b64(DARK), {"image": b64(LIGHT)}]})
    assert rows.status_code == 400  # rows must be either all named or all unnamed
    rows = client.post(f"{path}:predict", json={"instances": [b64(DARK), b64(LIGHT)]}).json()
    assert rows["predictions"][0] == pytest.approx([0.2] * 4)
    assert rows["predictions"][1] == pytest.approx([0.8] * 4)
    columns = {"image": [b64(DARK), b64(LIGHT)]}
    assert client.post(f"{path}:predict", json={"inputs": columns}).json() == {
        "outputs": rows["predictions"]
    }
    pairs = {"signature_name": "compare", "instances": [{"left": b64(DARK), "right": b64(LIGHT)}]}
    (pair,) = client.post(f"{path}:predict", json=pairs).json()["predictions"]
    assert pair["distance"] == pytest.approx(1.2, abs=1e-5)
    measured = {
        "signature_name": "measure",
        "inputs": {"left": [[0, 0, 0, 0]], "right": [[0, 0.5, 0, 0]]},
    }
    outputs = client.post(f"{path}:predict", json=measured).json()["outputs"]
    assert outputs == {"distance": [0.5], "same": [False], "threshold": [0.25]}


def test_status_and_metadata_have_the_form_of_tensorflow_serving(client):
    (version,) = client.get("/v1/models/birds").json()["model_version_status"]
    assert version == {
        "version": "7",
        "state": "AVAILABLE",
        "status": {"error_code": "OK", "error_message": ""},
    }
    signatures = client.get("/v1/models/birds/metadata").json()["metadata"]["signature_def"]
    assert signatures["signature_def"]["embed"]["inputs"]["image"]["dtype"] == "DT_STRING"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("/v1/models/cats:predict", "Servable not found for request: Latest(cats)"),
        (
            "/v1/models/birds/versions/8:predict",
            "Servable not found for request: Specific(birds, 8)",
        ),
    ],
)
def test_an_unknown_model_or_version_is_404_worded_as_in_tensorflow_serving(client, path, message):
    response = client.post(path, json={"instances": [b64(DARK)]})
    assert response.status_code == 404
    assert response.json() == {"error": message}


@pytest.mark.parametrize(("path", "code"), [("/v1/models/birds:classify", 400), ("/nothing", 404)])
def test_an_unknown_path_is_a_malformed_request(client, path, code):
    response = client.post(path, json={"instances": [b64(DARK)]})
    assert response.status_code == code
    assert response.json() == {"error": f"Malformed request: POST {path}"}


def test_every_format_mode_and_orientation_has_the_pixels_of_the_ingest(client):
    limits = ImageLimits(10**6, 10**6)
    plain = {
        name: encode(Image.fromarray(prepare_image(encoded, limits).pixels), "PNG")
        for name, encoded in FILES.items()
    }

    def embed(files):
        body = {"instances": [b64(content) for content in files.values()]}
        return client.post("/v1/models/birds:predict", json=body).json()["predictions"]

    np.testing.assert_allclose(embed(FILES), embed(plain), rtol=0, atol=1e-6)
    for name in ("webp-RGBA", "tiff-16-bit", "JPEG-orientation-6", "gif-transparent"):
        form = image_form(left=FILES[name], right=plain[name])
        assert client.post("/compare", files=form).json()["distance"] == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (b"", "empty"),
        (b"\0\0\0\x1cftypavif\0\0\0\0avif", "an AVIF image, which Diptych does not read"),
        (b"no image", "not an image but text"),
        (DARK[:-25], "cannot be decoded"),
        (decompression_bomb(), "more than 100000 pixels"),
        (jpeg_with_scans(3500, side=300), "a JPEG with more than 312 scans"),
    ],
)
def test_an_unusable_image_is_400_with_the_reason(client, service, image, message):
    pids = [service.process.pid, *descendants(service.process.pid)]
    before = {pid: resident_bytes(pid) for pid in pids}
    response = client.post("/compare", files=image_form(left=DARK, right=image))
    assert response.status_code == 400
    assert response.json()["error"].startswith("right cannot be used: ")
    assert message in response.json()["error"]
    assert all(resident_bytes(pid) < before[pid] + 100_000_000 for pid in pids)


@pytest.mark.parametrize("token", ["", "wrong", "tökén"])
def test_without_the_token_nothing_is_exposed(service, token):
    headers = {"Authorization": f"Bearer {token}".encode()} if token else {}
    paths = ("/metrics", "/v1/models/birds", "/docs/redoc.standalone.js")
    for method, path in [("POST", "/compare"), *(("GET", path) for path in paths)]:
        response = httpx.request(method, service.url + path, headers=headers)
        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert "birds" not in response.text


def test_the_api_is_described_by_openapi(client):
    document = client.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    assert {"/compare", "/identify", "/enroll"} < set(document["paths"])


def test_another_host_name_is_rejected(service):
    response = httpx.get(f"{service.url}/healthz", headers={"Host": "evil.example"})
    assert response.status_code == 403


def test_health_needs_no_token(service):
    response = httpx.get(f"{service.url}/healthz").json()
    assert response == {"status": "ok", "model": "birds", "versions": [7], "refused": {}}


@pytest.mark.parametrize("with_length", [True, False])
def test_a_body_that_is_too_large_is_413_and_not_kept_in_memory(client, service, with_length):
    before = resident_bytes(service.process.pid)

    def chunks():
        for _ in range(300):
            yield bytes(1_000_000)

    headers = {"Content-Length": "300000000"} if with_length else {}
    try:
        response = client.post("/compare", content=chunks(), headers=headers)
        assert response.status_code == 413
        assert "larger than" in response.json()["error"]
    except httpx.WriteError:  # the server has already closed the connection
        pass
    assert resident_bytes(service.process.pid) < before + 50_000_000
    assert client.get("/v1/models/birds").status_code == 200


def connect(service):
    host, _, port = service.url.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), 30)


def test_a_connection_without_a_complete_request_is_closed(service):
    with connect(service) as connection:
        connection.sendall(b"POST /compare HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert connection.recv(1) == b""  # closed


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", b"401"),
        (b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", b"401"),
        (b"Content-Length: 5\r\nContent-Length: 6\r\n", b"400"),
        (b"Transfer-Encoding: chunked, identity\r\n", b"400"),
        (b"Transfer-Encoding: xchunked\r\n", b"400"),
        (b"Content-Length: +5\r\n", b"400"),
        (b"Content-Length : 5\r\n", b"400"),
        (b"X: " + b"a" * 20_000 + b"\r\n", b"431"),
    ],
)
def test_a_request_with_another_length_for_a_proxy_is_the_last_of_its_connection(
    service, headers, status
):
    smuggled = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    with connect(service) as connection:
        connection.sendall(
            b"POST /compare HTTP/1.1\r\nHost: 127.0.0.1\r\n" + headers + b"\r\n0\r\n\r\n" + smuggled
        )
        received = b"".join(iter(lambda: connection.recv(65_536), b""))  # until it is closed
    assert received.startswith(b"HTTP/1.1 " + status)
    assert received.count(b"HTTP/1.1 ") == 1


def test_head_has_the_headers_of_get_without_the_body(service):
    for path, status in (("/", 200), ("/healthz", 200), ("/metrics", 401), ("/nothing", 401)):
        head, get = (httpx.request(method, service.url + path) for method in ("HEAD", "GET"))
        assert (head.status_code, head.content) == (status, b"")
        assert head.headers["content-type"] == get.headers["content-type"]


def test_enrolled_classes_are_identified(client):
    stranger = client.post("/identify", files=image_form(picture=DARK)).json()
    assert stranger["known"] is False
    several = [("picture", ("a.png", DARK)), ("picture", ("b.png", grey(60)))]
    response = client.post("/enroll", data={"label": "raven"}, files=several)
    assert (response.status_code, response.json()["added"]) == (200, 2)
    swan = {"label": "swan", "examples": [b64(LIGHT)]}
    assert client.post("/enroll", json=swan).json()["added"] == 1
    assert client.post("/enroll", json=swan).json()["known"] == 1
    again = client.post("/enroll", json={"label": "crow", "examples": [b64(DARK)]}).json()
    assert again["contradictions"][0]["known_as"] == "raven"
    for result in (
        client.post("/identify", files=image_form(picture=NEARLY_DARK)).json(),
        client.post("/identify", json={"example": b64(NEARLY_DARK), "k": 3}).json(),
    ):
        assert result["known"] is True
        labels = [candidate["label"] for candidate in result["candidates"]]
        assert labels.index("raven") == 0 < labels.index("swan")
        assert result["candidates"][0]["distance"] == pytest.approx(2 * 4 / 255, abs=1e-5)


def test_concurrent_requests_share_batches(client, service):
    before = read_metrics(client)

    def send_requests():
        with service.client() as thread_client:
            for _ in range(10):
                thread_client.post(
                    "/compare", files=image_form(left=DARK, right=LIGHT)
                ).raise_for_status()

    threads = [threading.Thread(target=send_requests) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = read_metrics(client)
    assert after["diptych_batch_examples_sum"] - before["diptych_batch_examples_sum"] == 160
    assert after["diptych_batch_examples_count"] - before["diptych_batch_examples_count"] < 80
    route = 'diptych_requests_total{code="200",route="/compare"}'
    assert after[route] - before.get(route, 0) == 80


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"{" * 2_000, b'{"instances": ' + b"[" * 1500, b"\xff", b"null", b""]
)
def test_invalid_json_is_rejected_with_a_message(client, body):
    started = time.monotonic()
    response = client.post("/v1/models/birds:predict", content=body)
    assert 400 <= response.status_code < 500
    assert json.loads(response.content)["error"]
    assert time.monotonic() - started < 5
