import asyncio

import pytest

from diptych.serving.metrics import Metrics
from diptych.serving.middleware import Door

TOKEN = "a-token-of-some-length"


async def echo(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["diptych.body"]})


def ask(door, chunks=(b"",), *, path="/compare", token=TOKEN, host="127.0.0.1:8501", headers=()):
    """The status, and how many chunks were left when it was known."""
    left = list(chunks)
    known = []

    async def receive():
        if not left:
            return {"type": "http.disconnect"}
        chunk = left.pop(0)
        return {"type": "http.request", "body": chunk, "more_body": bool(left)}

    async def send(message):
        if message["type"] == "http.response.start":
            known.append((message["status"], len(left)))

    scope = {
        "type": "http",
        "method": "POST",
        "path": path,
        "headers": [
            (b"host", host.encode()),
            (b"authorization", b"Bearer " + token.encode()),
            *headers,
        ],
    }
    asyncio.run(door(scope, receive, send))
    return known[0]


def door(hosts=("127.0.0.1", "localhost"), max_body=10, max_held=100):
    return Door(echo, TOKEN, hosts and frozenset(hosts), lambda: max_body, max_held, Metrics())


def test_a_body_within_the_bound_goes_through():
    assert ask(door(), [b"12345", b"67890"]) == (200, 0)


def test_a_longer_body_is_refused_at_its_head_or_as_soon_as_it_is_too_long():
    assert ask(door(), [b"1"] * 20, headers=[(b"content-length", b"20")]) == (413, 20)
    assert ask(door(), [b"1"] * 20) == (413, 9)


@pytest.mark.parametrize("length", [b"-1", b"1e1", b"9" * 5000, b""])
def test_a_length_that_is_none_is_refused(length):
    assert ask(door(), [b"1"], headers=[(b"content-length", length)])[0] == 413


def test_a_wrong_token_is_refused_before_the_body_is_read():
    assert ask(door(), [b"1", b"2"], token="another") == (401, 2)
    assert ask(door(), [b"1"], token="")[0] == 401


def test_another_host_is_refused_where_hosts_are_known():
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[::2]:80"):
        assert ask(door(), host=host)[0] == 403
    assert ask(door(), host="LOCALHOST:8501")[0] == 200
    assert ask(door(hosts=("::1",)), host="[::1]:8501")[0] == 200
    assert ask(door(hosts=None), host="service.example")[0] == 200


def test_all_bodies_together_are_bounded_and_given_back():
    one = door(max_body=50, max_held=30)
    assert ask(one, [b"1" * 40])[0] == 503
    assert [ask(one, [b"1" * 25])[0] for _ in range(3)] == [200, 200, 200]
