import json
import threading
import time

import httpx
import pytest
from processes import descendants
from service_runs import b64, bomb, grey, resident

DARK, LIGHT, NEARLY_DARK = grey(51), grey(204), grey(56)  # brightness 0.2, 0.8 and 0.22


def form(**pictures):
    return {name: (f"{name}.png", content, "image/png") for name, content in pictures.items()}


@pytest.fixture
def client(service):
    with service.client() as client:
        yield client


def test_compare_takes_a_form_and_json_and_tells_the_distance(client):
    by_form = client.post("/compare", files=form(left=DARK, right=LIGHT)).json()
    by_json = client.post("/compare", json={"left": b64(DARK), "right": b64(LIGHT)}).json()
    assert by_form == by_json
    assert by_form["distance"] == pytest.approx(1.2, abs=1e-5)  # 2 * |0.2 - 0.8|
    assert by_form["same"] is False
    assert (by_form["model"], by_form["version"], by_form["threshold"]) == ("birds", 7, 0.25)
    assert client.post("/compare", files=form(left=DARK, right=NEARLY_DARK)).json()["same"] is True


@pytest.mark.parametrize("path", ["/v1/models/birds", "/v1/models/birds/versions/7"])
def test_predict_answers_in_rows_and_columns(client, path):
    rows = client.post(f"{path}:predict", json={"instances": [b64(DARK), {"image": b64(LIGHT)}]})
    assert rows.status_code == 400  # either all bare, or all named
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
    ("path", "words"),
    [
        ("/v1/models/cats:predict", "Servable not found for request: Latest(cats)"),
        (
            "/v1/models/birds/versions/8:predict",
            "Servable not found for request: Specific(birds, 8)",
        ),
    ],
)
def test_what_is_not_there_is_404_in_the_words_of_tensorflow_serving(client, path, words):
    answer = client.post(path, json={"instances": [b64(DARK)]})
    assert answer.status_code == 404
    assert answer.json() == {"error": words}


@pytest.mark.parametrize(("path", "code"), [("/v1/models/birds:classify", 400), ("/nothing", 404)])
def test_a_path_that_leads_nowhere_is_told_to_be_malformed(client, path, code):
    answer = client.post(path, json={"instances": [b64(DARK)]})
    assert answer.status_code == code
    assert answer.json() == {"error": f"Malformed request: POST {path}"}


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (b"", "empty"),
        (b"no picture", "not a PNG, JPEG, GIF or BMP"),
        (DARK[:-25], "cannot be decoded"),
        (bomb(), "more than 100000 pixels"),
    ],
)
def test_a_picture_that_cannot_be_used_is_400_with_the_reason(client, service, picture, words):
    pids = [service.process.pid, *descendants(service.process.pid)]
    before = {pid: resident(pid) for pid in pids}
    answer = client.post("/compare", files=form(left=DARK, right=picture))
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("right cannot be used: ")
    assert words in answer.json()["error"]
    assert all(resident(pid) < before[pid] + 100_000_000 for pid in pids)


@pytest.mark.parametrize("token", ["", "wrong", "tökén"])
def test_without_the_token_nothing_is_told(service, token):
    headers = {"Authorization": f"Bearer {token}".encode()} if token else {}
    for method, path in [("POST", "/compare"), ("GET", "/metrics"), ("GET", "/v1/models/birds")]:
        answer = httpx.request(method, service.url + path, headers=headers)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"] == "Bearer"
        assert "birds" not in answer.text


def test_another_host_name_is_refused(service):
    answer = httpx.get(f"{service.url}/healthz", headers={"Host": "evil.example"})
    assert answer.status_code == 403


def test_health_is_told_without_a_token(service):
    answer = httpx.get(f"{service.url}/healthz").json()
    assert answer == {"status": "ok", "model": "birds", "versions": [7], "refused": {}}


@pytest.mark.parametrize("length_told", [True, False])
def test_too_large_a_body_is_413_and_is_not_kept(client, service, length_told):
    before = resident(service.process.pid)

    def chunks():
        for _ in range(300):
            yield bytes(1_000_000)

    headers = {"Content-Length": "300000000"} if length_told else {}
    try:
        answer = client.post("/compare", content=chunks(), headers=headers)
        assert answer.status_code == 413
        assert "larger than" in answer.json()["error"]
    except httpx.WriteError:  # the server has closed the connection by then
        pass
    assert resident(service.process.pid) < before + 50_000_000
    assert client.get("/v1/models/birds").status_code == 200


def test_a_client_that_sends_slowly_is_not_waited_for(service):
    import socket

    host, _, port = service.url.removeprefix("http://").partition(":")
    with socket.create_connection((host, int(port)), 30) as silent:
        silent.sendall(b"POST /compare HTTP/1.1\r\nHost: 127.0.0.1\r\n")
        assert silent.recv(1) == b""  # closed


def test_a_gallery_knows_what_was_enrolled(client):
    stranger = client.post("/identify", files=form(picture=DARK)).json()
    assert stranger["known"] is False
    several = [("picture", ("a.png", DARK)), ("picture", ("b.png", grey(60)))]
    answer = client.post("/enroll", data={"label": "raven"}, files=several)
    assert (answer.status_code, answer.json()["added"]) == (200, 2)
    swan = {"label": "swan", "examples": [b64(LIGHT)]}
    assert client.post("/enroll", json=swan).json()["added"] == 1
    assert client.post("/enroll", json=swan).json()["known"] == 1
    again = client.post("/enroll", json={"label": "crow", "examples": [b64(DARK)]}).json()
    assert again["contradictions"][0]["known_as"] == "raven"
    for found in (
        client.post("/identify", files=form(picture=NEARLY_DARK)).json(),
        client.post("/identify", json={"example": b64(NEARLY_DARK), "k": 3}).json(),
    ):
        assert found["known"] is True
        labels = [one["label"] for one in found["candidates"]]
        assert labels.index("raven") == 0 < labels.index("swan")
        assert found["candidates"][0]["distance"] == pytest.approx(2 * 4 / 255, abs=1e-5)


def test_many_clients_share_batches(client, service):
    before = figures(client)

    def ask():
        with service.client() as own:
            for _ in range(10):
                own.post("/compare", files=form(left=DARK, right=LIGHT)).raise_for_status()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    after = figures(client)
    assert after["diptych_batch_examples_sum"] - before["diptych_batch_examples_sum"] == 160
    assert after["diptych_batch_examples_count"] - before["diptych_batch_examples_count"] < 80
    route = 'diptych_requests_total{code="200",route="/compare"}'
    assert after[route] - before.get(route, 0) == 80


def figures(client):
    lines = client.get("/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


@pytest.mark.parametrize(
    "body", [b"[" * 100_000, b"{" * 2_000, b'{"instances": ' + b"[" * 1500, b"\xff", b"null", b""]
)
def test_json_that_is_none_is_refused_with_a_reason(client, body):
    started = time.monotonic()
    answer = client.post("/v1/models/birds:predict", content=body)
    assert 400 <= answer.status_code < 500
    assert json.loads(answer.content)["error"]
    assert time.monotonic() - started < 5
