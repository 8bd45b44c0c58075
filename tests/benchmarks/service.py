"""Asks ``diptych serve`` as fast as it answers, on this machine alone, and tells what limits it.

    make bench-service ARGS="--model demo/serving --side 28"

Each line is one way to ask: requests a second, latencies, how many examples shared a batch, what a
batch took by the service's own clock, and what a request took of processors in each process. Where
those are busy all the time, they are the limit.
"""

import argparse
import base64
import dataclasses
import http.client
import io
import json
import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))

from machine import machine
from processes import descendants, named
from pushed_model import push_images
from service_runs import TOKEN, running_service

_TICKS = os.sysconf("SC_CLK_TCK")
_MS = 1000.0


@dataclasses.dataclass(frozen=True)
class Question:
    """One way to ask."""

    name: str
    path: str
    headers: dict[str, str]
    bodies: list[bytes]


def questions(model, side, number=32):
    """Ways to ask about random pictures, no two alike."""
    generator = np.random.default_rng(0)
    pictures = [picture(generator, side) for _ in range(number)]
    texts = [{"b64": base64.b64encode(one).decode()} for one in pictures]
    pairs = list(zip(texts, texts[1:] + texts[:1], strict=True))
    as_json = {"Content-Type": "application/json"}
    return [
        Question(
            "/compare, form",
            "/compare",
            {"Content-Type": "multipart/form-data; boundary=x"},
            [
                form(left=left, right=right)
                for left, right in zip(pictures, pictures[1:] + pictures[:1], strict=True)
            ],
        ),
        Question(
            "/compare, JSON",
            "/compare",
            as_json,
            [json.dumps({"left": left, "right": right}).encode() for left, right in pairs],
        ),
        Question(
            ":predict of 1, JSON",
            f"/v1/models/{model}:predict",
            as_json,
            [json.dumps({"instances": [one]}).encode() for one in texts],
        ),
        Question(
            ":predict of 32, JSON",
            f"/v1/models/{model}:predict",
            as_json,
            [json.dumps({"instances": texts}).encode()],
        ),
    ]


def picture(generator, side):
    """A JPEG with some structure and some noise."""
    coarse = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((side, side)), np.int16)
    noisy = smooth + generator.integers(-8, 9, smooth.shape)
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def form(**pictures):
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="%s"; filename="a.jpg"\r\n\r\n%s\r\n'
        % (name.encode(), content)
        for name, content in pictures.items()
    ]
    return b"".join([*parts, b"--x--\r\n"])


def ask(service, question, clients, seconds, most):
    """(n,) latencies in seconds of as many requests as clients make one after another."""
    deadline = time.perf_counter() + seconds
    latencies = [[] for _ in range(clients)]

    def work(own):
        host, _, port = service.url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        headers = {"Authorization": f"Bearer {TOKEN}", **question.headers}
        for number in range(most // clients):
            started = time.perf_counter()
            if started > deadline:
                break
            body = question.bodies[number % len(question.bodies)]
            connection.request("POST", question.path, body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{answer.status}: {content[:300]!r}")
            own.append(time.perf_counter() - started)
        connection.close()

    threads = [threading.Thread(target=work, args=(own,)) for own in latencies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return np.array([one for own in latencies for one in own])


def processor_seconds(service):
    """By part of the service: what its processes have used of processors until now."""
    own = service.process.pid
    below = descendants(own)
    replicas = named(below, "ServeReplica")
    parts = {
        "door": [own],
        "replica": replicas,
        "Ray": [pid for pid in below if pid not in replicas],
        "client": [os.getpid()],
    }
    return {name: sum(map(_used, pids)) for name, pids in parts.items()}


def _used(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def figures(service):
    with service.client() as client:
        lines = client.get("/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def measure(service, question, clients, seconds, most):
    """The line of one way to ask."""
    ask(service, question, clients, 1.0, 100)  # warm
    told, used, started = figures(service), processor_seconds(service), time.perf_counter()
    latencies = ask(service, question, clients, seconds, most)
    took = time.perf_counter() - started
    used_after = processor_seconds(service)
    more = {name: value - told.get(name, 0.0) for name, value in figures(service).items()}
    requests = len(latencies)
    batches = more["diptych_batch_examples_count"]
    each = {name: (used_after[name] - used[name]) / requests * _MS for name in used}
    inside = [more[f"diptych_{name}_seconds_sum"] / batches * _MS for name in ("check", "model")]
    p50, p99 = np.quantile(latencies, [0.5, 0.99]) * _MS
    cells = [
        f"{question.name:<21}{clients:>7}",
        f"{requests / took:>9.0f}{p50:>8.1f}{p99:>8.1f}",
        f"{more['diptych_batch_examples_sum'] / batches:>8.1f}{inside[0]:>8.1f}{inside[1]:>8.1f}",
        "".join(f"{each[name]:>9.1f}" for name in ("door", "replica", "Ray", "client")),
        f"{sum(used_after.values()) - sum(used.values()):>9.1f} of {took * os.cpu_count():.0f} s",
    ]
    return "".join(cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="pushed images; default: a small one by hand")
    parser.add_argument("--side", type=int, default=28, help="of the pictures, in pixels")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8, help="at most, for each line")
    parser.add_argument("--requests", type=int, default=4000, help="at most, for each line")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        models = given.model
        if models is None:
            models = Path(scratch) / "models"
            push_images(models, size=(28, 28), channels=3, max_bytes=10**7, max_pixels=10**7)
        arguments = ["--replicas", str(given.replicas)]
        with running_service(Path(scratch) / "run", models.absolute(), *arguments) as service:
            with service.client() as client:
                name = client.get("/healthz").json()["model"]
            size = len(questions(name, given.side)[0].bodies[0]) // 2
            load = os.getloadavg()[0]
            print(f"{machine()}; load {load:.1f} before; pictures of {size:,} bytes", end="")
            print(f", {given.side} x {given.side}; replicas: {given.replicas}\n")
            print(f"{'':44}latency, ms  a batch: examples, ms  processors, ms a request")
            print(
                f"{'':21}clients  req./s     p50     p99    size   check   model"
                "     door  replica      Ray   client  processors busy"
            )
            for question in questions(name, given.side):
                for clients in (1, 8):
                    print(
                        measure(service, question, clients, given.seconds, given.requests),
                        flush=True,
                    )


if __name__ == "__main__":
    main()
