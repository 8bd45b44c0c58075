import asyncio

import pytest

from diptych.serving.metrics import ServiceMetrics
from diptych.serving.middleware import BODY_KEY, AuthAndBodyLimitMiddleware

TOKEN = "a-token-of-some-length"


async def echo(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope[BODY_KEY]})


def request(app, chunks=(b"",), **options):
    """Return the status, and the number of chunks that were unread when it was sent."""
    status, num_unread, _ = full_response(app, chunks, **options)
    return status, num_unread


def full_response(
    app,
    chunks=(b"",),
    *,
    method="POST",
    path="/compare",
    token=TOKEN,
    host="127.0.0.1:8501",
    headers=(),
    seconds_per_chunk=0.0,
):
    """Return what ``request`` does, and the headers of the response."""
    unread = list(chunks)
    responses = []

    async def receive():
        await asyncio.sleep(seconds_per_chunk)
        if not unread:
            return {"type": "http.disconnect"}
        chunk = unread.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(unread)}

    async def send(message):
        if message["type"] == "http.response.start":
            responses.append((message["status"], len(unread), dict(message["headers"])))

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "headers": [
            (b"host", host.encode()),
            (b"authorization", b"Bearer " + token.encode()),
            *headers,
        ],
    }
    asyncio.run(app(scope, receive, send))
    return responses[0]


def protected(
    hosts=("127.0.0.1", "localhost"), max_body_bytes=10, max_total_bytes=100, body_timeout_s=30.0
):
    return AuthAndBodyLimitMiddleware(
        echo,
        token=TOKEN,
        allowed_hosts=hosts and frozenset(hosts),
        max_body_bytes=lambda: max_body_bytes,
        max_total_bytes=max_total_bytes,
        metrics=ServiceMetrics(),
        body_timeout_s=body_timeout_s,
    )


def test_a_body_within_the_limit_is_passed_on():
    assert request(protected(), [b"12345", b"67890"]) == (200, 0)


def test_a_larger_body_is_rejected_by_its_length_header_or_when_it_exceeds_the_limit():
    assert request(protected(), [b"1"] * 20, headers=[(b"content-length", b"20")]) == (413, 20)
    assert request(protected(), [b"1"] * 20) == (413, 9)


def test_a_body_that_arrives_byte_by_byte_is_rejected_in_time():
    app = protected(body_timeout_s=0.2)
    assert request(app, [b"1"] * 9, seconds_per_chunk=0.1)[0] == 408
    assert request(app, [b"1"] * 9)[0] == 200


@pytest.mark.parametrize("length", [b"-1", b"1e1", b"9" * 5000, b""])
def test_an_invalid_content_length_is_rejected(length):
    assert request(protected(), [b"1"], headers=[(b"content-length", length)])[0] == 413


def test_a_wrong_token_is_rejected_before_the_body_is_read():
    assert request(protected(), [b"1", b"2"], token="another") == (401, 2)
    assert request(protected(), [b"1"], token="")[0] == 401


def test_headers_that_are_too_large_are_rejected():
    fits, exceeds = ([(b"x", b"a" * 1000)] * number for number in (16, 17))
    assert request(protected(), headers=fits)[0] == 200
    assert request(protected(), headers=exceeds)[0] == 431


def test_the_connection_is_closed_if_a_proxy_may_have_seen_another_length():
    length, chunked = (b"content-length", b"1"), (b"transfer-encoding", b"chunked")
    status, _, headers = full_response(protected(), [b"1"], headers=[length, chunked])
    assert (status, headers[b"connection"]) == (200, b"close")
    for single in (length, chunked):
        assert b"connection" not in full_response(protected(), [b"1"], headers=[single])[2]


def test_head_is_answered_as_get():
    assert request(protected(), method="HEAD", path="/healthz", token="")[0] == 200
    assert request(protected(), method="HEAD", path="/metrics", token="")[0] == 401


def test_other_hosts_are_rejected_if_hosts_are_restricted():
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[::2]:80"):
        assert request(protected(), host=host)[0] == 403
    assert request(protected(), host="LOCALHOST:8501")[0] == 200
    assert request(protected(hosts=("::1",)), host="[::1]:8501")[0] == 200
    assert request(protected(hosts=None), host="service.example")[0] == 200


def test_the_total_size_of_all_bodies_is_limited_and_released():
    app = protected(max_body_bytes=50, max_total_bytes=30)
    assert request(app, [b"1" * 40])[0] == 503
    assert [request(app, [b"1" * 25])[0] for _ in range(3)] == [200, 200, 200]
