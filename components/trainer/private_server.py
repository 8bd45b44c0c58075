"""Close the server of TensorFlow in a worker of a local Ray to other machines.

The server of ``MultiWorkerMirroredStrategy`` executes what it receives, needs no token, and has no
setting for the address on which it listens.
"""

import logging
import os
import socket

_LOOPBACK, _LOOPBACK_DEVICE = "127.0.0.1", b"lo\0"
_log = logging.getLogger("diptych")


def close_to_other_machines(node_address: str) -> None:
    """Bind all listening sockets of this process to the loopback device, if the Ray is local.

    Linux permits it to every user since version 5.7; on an older one, a warning is logged.

    Args:
      node_address: IP address of this worker, as Ray knows it.
    """
    if node_address != _LOOPBACK:  # the other workers are on other machines
        return
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        try:
            copy = socket.socket(fileno=os.dup(descriptor))
        except OSError:  # closed meanwhile, or no socket
            continue
        with copy:
            if copy.family not in (socket.AF_INET, socket.AF_INET6):
                continue
            try:
                if copy.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    copy.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _LOOPBACK_DEVICE)
            except OSError as error:
                _log.warning("Other machines can reach the port of TensorFlow: %s", error)
