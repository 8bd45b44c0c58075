"""What other users and machines can reach of running processes: their sockets and files."""

import contextlib
import ipaddress
import os
import socket
import stat
from pathlib import Path

from processes import descendants, repeat_in_background

_LISTEN = "0A"  # the state in /proc/net/tcp


def listening_addresses(pids):
    """Return the (IP address, port, name of the process) of all sockets on which processes listen.

    An IPv4 address in the notation of IPv6 is returned as IPv4, and ``::`` accepts both.
    """
    sockets = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text().splitlines()[1:]:
            _, address, _, state, *_, inode = line.split()[:10]
            if state == _LISTEN:
                sockets[f"socket:[{inode}]"] = _parse_address(address)
    found = set()
    for pid in pids:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            name = Path(f"/proc/{pid}/comm").read_text().strip()
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with contextlib.suppress(FileNotFoundError):
                    target = os.readlink(descriptor)
                    if target in sockets:
                        found.add((*sockets[target], name))
    return found


@contextlib.contextmanager
def record_listening():
    """Record in a set what ``listening_addresses`` returns for the processes started meanwhile."""
    recorded = set()

    def record():
        recorded.update(listening_addresses(descendants(os.getpid())))

    with repeat_in_background(record, 0.3):
        yield recorded


def writable_by_others(folder):
    """Return the paths in a folder that other users may write to, with their modes."""
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in Path(folder).rglob("*")}
    return {path: mode for path, mode in modes.items() if mode & 0o022 and not path.is_symlink()}


def is_reachable_from_outside(ip, port):
    """Return whether a listening socket accepts a connection to an address of the machine.

    The socket may be bound to the loopback device, which its address does not show.
    """
    if ipaddress.ip_address(ip).is_loopback:
        return False
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 53))  # sends nothing; chooses the address of this machine
        address = probe.getsockname()[0]
    try:
        socket.create_connection((address, port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def environment_of(pid):
    """Return the environment of a process when it was started."""
    content = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(entry.split("=", 1) for entry in content.split("\0") if "=" in entry)


def reachable_by_others(folder):
    """Return the paths, with their modes, that other users can read or write, from a folder on.

    A folder that others cannot enter hides what it contains.
    """
    found, queue = {}, [Path(folder)]
    while queue:
        path = queue.pop()
        with contextlib.suppress(FileNotFoundError):
            status = path.lstat()
            mode = stat.S_IMODE(status.st_mode)
            if mode & 0o006 and not stat.S_ISLNK(status.st_mode):
                found[path] = mode
            if stat.S_ISDIR(status.st_mode) and mode & 0o001:
                queue += path.iterdir()
    return found


def _parse_address(text):
    """Parse an address of /proc/net/tcp, whose words have the byte order of the machine."""
    address, port = text.split(":")
    words = [bytes.fromhex(address[index : index + 8])[::-1] for index in range(0, len(address), 8)]
    parsed = ipaddress.ip_address(b"".join(words))
    mapped = getattr(parsed, "ipv4_mapped", None)
    return str(mapped or parsed), int(port, 16)
