"""Start the service as a user does, and create test images."""

import base64
import contextlib
import io
import os
import re
import shutil
import socket
import struct
import sys
import zlib
from pathlib import Path

import httpx
import numpy as np
from PIL import Image
from processes import descendants, start_session, wait_until

TOKEN = "token-of-the-tests-0123"
DIPTYCH = str(Path(sys.executable).with_name("diptych"))


class RunningService:
    """A running service."""

    def __init__(self, process, port, output):
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self._output = output
        self.page = f"{self.url}/#token={TOKEN}"

    def client(self, token=TOKEN):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.url, headers=headers, timeout=30)

    def console_output(self):
        return self._output.read_text()


@contextlib.contextmanager
def running_service(folder, models, *arguments, environment=None, working_directory=None):
    """Run ``diptych serve`` with a known token; its files are in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    output = folder / "console.txt"
    command = [DIPTYCH, "serve", "--model", models, "--port", port, "--log", folder / "log.txt"]
    environment = {**os.environ, "DIPTYCH_TOKEN": TOKEN, **(environment or {})}
    with start_session(
        [str(word) for word in [*command, *arguments]],
        output,
        env=environment,
        cwd=working_directory,
    ) as process:
        service = RunningService(process, port, output)
        wait_until(lambda: "Ctrl-C" in service.console_output(), 150, of=process)
        wait_until(lambda: _is_healthy(service.url), 10, of=process)
        yield service


def grey(brightness, side=8):
    """A uniform grey PNG, brightness from 0 to 255."""
    image = io.BytesIO()
    Image.fromarray(np.full((side, side), brightness, np.uint8)).save(image, "PNG")
    return image.getvalue()


def b64(content):
    return {"b64": base64.b64encode(content).decode()}


def decompression_bomb():
    """A valid PNG of 48 kB that decodes to 400 MB: 20,000 x 20,000 black pixels."""
    side = 20_000

    def chunk(kind, content):
        check = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)  # one bit per pixel
    packer = zlib.compressobj(9)
    width = (side + 7) // 8 + 1
    rows = b"".join(packer.compress(bytes(width) * 100) for _ in range(side // 100))
    rows += packer.flush()
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def resident_bytes(pid):
    """Resident memory of a process."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) * 1024


def _is_healthy(url):
    with contextlib.suppress(httpx.TransportError):
        return httpx.get(f"{url}/healthz", timeout=5).status_code == 200
    return False


def push(versions, models, number):
    """Push like the Pusher: write a hidden folder, then rename it."""
    tmp_path = models / f".pushing-{number}"
    shutil.copytree(versions / str(number), tmp_path)
    tmp_path.rename(models / str(number))


def child_processes(service):
    """Start times of all child processes, keyed by pid."""
    own = {pid: start_time(pid) for pid in descendants(service.process.pid)}
    assert own
    return own


def start_time(pid):
    """Start time of a process, which distinguishes reused pids; None if it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def read_metrics(client):
    lines = client.get("/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}
