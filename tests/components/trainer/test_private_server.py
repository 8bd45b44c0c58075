import contextlib
import socket

import pytest

from diptych.components.trainer.private_server import close_to_other_machines


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_a_server_of_a_local_ray_accepts_connections_of_the_loopback_device_only(family):
    any_address = "::" if family == socket.AF_INET6 else "0.0.0.0"
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(
            socket.create_server(
                (any_address, 0), family=family, dualstack_ipv6=family == socket.AF_INET6
            )
        )
        port = server.getsockname()[1]
        close_to_other_machines("10.0.0.1")
        device = server.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
        assert device.rstrip(b"\0") == b""
        close_to_other_machines("127.0.0.1")
        device = server.getsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, 16)
        assert device.rstrip(b"\0") == b"lo"
        stack.enter_context(socket.create_connection(("127.0.0.1", port), 5))
