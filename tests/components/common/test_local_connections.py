import os
import subprocess
import sys
import urllib.request

import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st
from recording_proxy import closed_port, proxy_environment, recording_proxy

from diptych.components.common.local_connections import bypass_proxy_locally
from diptych.pipeline.nightly.webhook import post_summary

NAMES = ("no_proxy", "NO_PROXY", "no_grpc_proxy")
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")


@pytest.fixture(autouse=True)
def environment():
    with pytest.MonkeyPatch.context() as patch:
        for name in (*NAMES, *PROXIES, *(name.upper() for name in PROXIES)):
            patch.delenv(name, raising=False)
        yield patch


entries = st.lists(
    st.sampled_from(["corp.example", ".intra", "10.0.0.0/8", "localhost", "::1"]), max_size=3
)


@settings(deadline=None)
@given(given_entries=st.dictionaries(st.sampled_from(NAMES), entries, max_size=3))
def test_entries_of_the_user_remain_and_this_machine_is_added_once(given_entries):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        for name, values in given_entries.items():
            patch.setenv(name, ", ".join(values))
        bypass_proxy_locally()
        first = {name: os.environ.get(name) for name in NAMES}
        bypass_proxy_locally()
        assert {name: os.environ.get(name) for name in NAMES} == first
        for name, values in given_entries.items():
            found = first[name].split(",")
            assert found[: len(values)] == values
            assert found.count("127.0.0.1") == 1
            assert {"localhost", "127.0.0.1", "::1"} <= set(found)
        for name in NAMES:
            patch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["no_proxy", "NO_PROXY"])
def test_both_names_have_the_entries_of_the_user(environment, name):
    environment.setenv("http_proxy", "http://127.0.0.1:9")
    environment.setenv(name, "corp.example")
    bypass_proxy_locally()
    for each in ("no_proxy", "NO_PROXY"):
        assert os.environ[each].startswith("corp.example,localhost,")


@pytest.mark.parametrize("proxy", [*PROXIES, *(name.upper() for name in PROXIES)])
def test_local_requests_bypass_the_proxy_and_others_use_it(environment, proxy):
    environment.setenv(proxy, "http://127.0.0.1:9")
    bypass_proxy_locally()
    for host in ("localhost", "127.0.0.1", "[::1]", "0.0.0.0"):
        assert requests.utils.should_bypass_proxies(f"http://{host}:8501/", None)
        assert urllib.request.proxy_bypass(host.strip("[]"))
    assert not requests.utils.should_bypass_proxies("http://hooks.example/x", None)
    assert not urllib.request.proxy_bypass("hooks.example")


def test_nothing_is_changed_without_a_proxy(environment):
    bypass_proxy_locally()
    assert not any(name in os.environ for name in NAMES)


def test_a_wildcard_remains_alone(environment):
    environment.setenv("http_proxy", "http://127.0.0.1:9")
    environment.setenv("no_proxy", "*")
    bypass_proxy_locally()
    assert os.environ["no_proxy"] == "*"
    assert "NO_PROXY" not in os.environ
    in_grpc = os.environ.get(NAMES[2])
    assert in_grpc.startswith("*,localhost,")  # gRPC knows no wildcard


def test_a_webhook_on_another_host_uses_the_proxy_and_a_local_one_does_not(environment):
    with recording_proxy() as (proxy, through_proxy), recording_proxy() as (local, direct):
        for name, value in proxy.items():
            environment.setenv(name, value)
        bypass_proxy_locally()
        local_url = local["http_proxy"]
        assert post_summary("http://hooks.example/secret", "{}") is None
        assert post_summary(f"{local_url}/hook", "{}") is None
    assert through_proxy == [("POST", "http://hooks.example/secret", b"{}")]
    assert direct == [("POST", "/hook", b"{}")]


def test_local_grpc_bypasses_a_dead_proxy_and_one_that_is_alive(environment):
    """gRPC reads the environment when a channel is created, so each case needs a process."""
    program = """
import concurrent.futures, grpc, sys
from diptych.components.common.local_connections import bypass_proxy_locally

bypass_proxy_locally()
server = grpc.server(concurrent.futures.ThreadPoolExecutor())
port = server.add_insecure_port("[::]:0")
server.start()
for host in ("localhost", "127.0.0.1", *sys.argv[1:]):
    with grpc.insecure_channel(f"{host}:{port}") as channel:
        grpc.channel_ready_future(channel).result(timeout=20)
"""
    with recording_proxy() as (live, requests_of_live):
        for proxies in (live, {**live, "no_proxy": "*"}, proxy_environment(closed_port())):
            subprocess.run(
                [sys.executable, "-c", program],
                env={**os.environ, **proxies},
                check=True,
                timeout=100,
            )
    assert requests_of_live == []
