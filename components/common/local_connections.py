"""Keep connections inside this machine away from an HTTP proxy.

Beam's workers, Ray, TensorFlow and the service talk to each other over local TCP connections, and
gRPC and Python's HTTP clients send these to the proxy of ``http_proxy`` as well.
"""

import os
import socket
from collections.abc import Iterator

_GRPC_VARIABLE = "no_grpc_proxy"  # of gRPC alone, which prefers it to no_proxy
_NO_PROXY_VARIABLES = (_GRPC_VARIABLE, "no_proxy", "NO_PROXY")
_SCHEMES = ("http", "https", "all", "grpc", "ftp", "socks", "ws", "wss")
_PROXY_VARIABLES = [
    name for scheme in _SCHEMES for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper())
]
_LOOPBACK = ("localhost", "127.0.0.1", "::1", "0.0.0.0")  # 0.0.0.0: a service on all addresses
# Ray and Beam ask the metadata service of the virtual machine, which only the machine can reach.
_METADATA_SERVICES = ("169.254.169.254", "metadata.google.internal")
# Any address of another network: a UDP socket sends nothing until the first write.
_ROUTES = ((socket.AF_INET, "8.8.8.8"), (socket.AF_INET6, "2001:4860:4860::8888"))


def bypass_proxy_locally() -> None:
    """Add this machine to the hosts that are reached without a proxy.

    Changes the environment of this process, which the processes of Ray and Beam inherit. Entries of
    the user remain, and connections to other hosts still use the proxy.
    """
    if not any(os.environ.get(name) for name in _PROXY_VARIABLES):
        return
    hosts = list(_local_hosts())
    # The lower-case name takes precedence, so both need the entries of the one that is set.
    no_proxy = os.environ.get("no_proxy") or os.environ.get("NO_PROXY", "")
    for name in _NO_PROXY_VARIABLES:
        entries = [entry.strip() for entry in (os.environ.get(name) or no_proxy).split(",")]
        entries = [entry for entry in entries if entry]
        if "*" not in entries or name == _GRPC_VARIABLE:  # gRPC knows no wildcard
            missing = [host for host in hosts if host not in entries]
            os.environ[name] = ",".join([*entries, *missing])


def _local_hosts() -> Iterator[str]:
    """Yield the names and addresses by which programs on this machine reach each other."""
    yield from (*_LOOPBACK, *_METADATA_SERVICES)
    yield socket.gethostname()
    for family, address in _ROUTES:
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as probe:
                probe.connect((address, 53))
                yield probe.getsockname()[0]
        except OSError:  # no network, or no IPv6
            continue
