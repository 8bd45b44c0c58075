"""Measure the throughput of ``diptych serve`` on one machine, and what limits it.

    make bench-service ARGS="--model demo/serving --side 28"

Each line is one kind of request: requests per second, latencies, examples per batch, time per batch
as measured by the service, and processor time per request in each process. If the processors are
busy all the time, they are the limit.
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

from machine import describe_machine
from processes import descendants, pids_with_command
from pushed_model import push_images
from service_runs import TOKEN, running_service

_TICKS = os.sysconf("SC_CLK_TCK")
_MS = 1000.0


@dataclasses.dataclass(frozen=True)
class RequestKind:
    """One kind of request, with several bodies."""

    name: str
    path: str
    headers: dict[str, str]
    bodies: list[bytes]


def request_kinds(model, side, num_images=32):
    """Kinds of requests with random, distinct images."""
    generator = np.random.default_rng(0)
    images = [random_jpeg(generator, side) for _ in range(num_images)]
    texts = [{"b64": base64.b64encode(image).decode()} for image in images]
    pairs = list(zip(texts, texts[1:] + texts[:1], strict=True))
    as_json = {"Content-Type": "application/json"}
    return [
        RequestKind(
            "/compare, form",
            "/compare",
            {"Content-Type": "multipart/form-data; boundary=x"},
            [
                encode_form(left=left, right=right)
                for left, right in zip(images, images[1:] + images[:1], strict=True)
            ],
        ),
        RequestKind(
            "/compare, JSON",
            "/compare",
            as_json,
            [json.dumps({"left": left, "right": right}).encode() for left, right in pairs],
        ),
        RequestKind(
            ":predict of 1, JSON",
            f"/v1/models/{model}:predict",
            as_json,
            [json.dumps({"instances": [text]}).encode() for text in texts],
        ),
        RequestKind(
            ":predict of 32, JSON",
            f"/v1/models/{model}:predict",
            as_json,
            [json.dumps({"instances": texts}).encode()],
        ),
    ]


def random_jpeg(generator, side):
    """A JPEG with structure and noise."""
    coarse = generator.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((side, side)), np.int16)
    noisy = smooth + generator.integers(-8, 9, smooth.shape)
    file = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def encode_form(**images):
    parts = [
        b'--x\r\nContent-Disposition: form-data; name="%s"; filename="a.jpg"\r\n\r\n%s\r\n'
        % (name.encode(), content)
        for name, content in images.items()
    ]
    return b"".join([*parts, b"--x--\r\n"])


def send_requests(service, kind, num_clients, seconds, max_requests):
    """Return (n,) latencies in seconds of sequential requests of several concurrent clients."""
    deadline = time.perf_counter() + seconds
    latencies = [[] for _ in range(num_clients)]

    def run_client(client_latencies):
        host, _, port = service.url.removeprefix("http://").partition(":")
        connection = http.client.HTTPConnection(host, int(port), timeout=60)
        headers = {"Authorization": f"Bearer {TOKEN}", **kind.headers}
        for number in range(max_requests // num_clients):
            started = time.perf_counter()
            if started > deadline:
                break
            body = kind.bodies[number % len(kind.bodies)]
            connection.request("POST", kind.path, body, headers)
            response = connection.getresponse()
            content = response.read()
            if response.status != 200:
                raise RuntimeError(f"{response.status}: {content[:300]!r}")
            client_latencies.append(time.perf_counter() - started)
        connection.close()

    threads = [threading.Thread(target=run_client, args=(each,)) for each in latencies]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return np.concatenate(latencies)


def processor_seconds(service):
    """Processor time used so far by the processes of each part of the service."""
    server = service.process.pid
    children = descendants(server)
    replicas = pids_with_command(children, "ServeReplica")
    parts = {
        "server": [server],
        "replica": replicas,
        "Ray": [pid for pid in children if pid not in replicas],
        "client": [os.getpid()],
    }
    return {name: sum(map(_cpu_seconds, pids)) for name, pids in parts.items()}


def _cpu_seconds(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def read_metrics(service):
    with service.client() as client:
        lines = client.get("/metrics").text.splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def measure(service, kind, num_clients, seconds, max_requests):
    """Measure one kind of request and format a line of the table."""
    send_requests(service, kind, num_clients, 1.0, 100)  # warm up
    before = read_metrics(service)
    used, started = processor_seconds(service), time.perf_counter()
    latencies = send_requests(service, kind, num_clients, seconds, max_requests)
    duration = time.perf_counter() - started
    used_after = processor_seconds(service)
    metrics = {name: value - before.get(name, 0.0) for name, value in read_metrics(service).items()}
    num_requests = len(latencies)
    num_batches = metrics["diptych_batch_examples_count"]
    used_per_request = {name: (used_after[name] - used[name]) / num_requests * _MS for name in used}
    batch_times = [
        metrics[f"diptych_{name}_seconds_sum"] / num_batches * _MS for name in ("check", "model")
    ]
    p50, p99 = np.quantile(latencies, [0.5, 0.99]) * _MS
    cells = [
        f"{kind.name:<21}{num_clients:>7}",
        f"{num_requests / duration:>9.0f}{p50:>8.1f}{p99:>8.1f}",
        f"{metrics['diptych_batch_examples_sum'] / num_batches:>8.1f}"
        f"{batch_times[0]:>8.1f}{batch_times[1]:>8.1f}",
        "".join(
            f"{used_per_request[name]:>9.1f}" for name in ("server", "replica", "Ray", "client")
        ),
        f"{sum(used_after.values()) - sum(used.values()):>9.1f}"
        f" of {duration * os.cpu_count():.0f} s",
    ]
    return "".join(cells)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, help="pushed model of images; default: fixed weights")
    parser.add_argument("--side", type=int, default=28, help="height and width of the images")
    parser.add_argument("--replicas", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=8, help="limit of each line")
    parser.add_argument("--requests", type=int, default=4000, help="limit of each line")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        models = args.model
        if models is None:
            models = Path(scratch) / "models"
            push_images(models, size=(28, 28), channels=3, max_bytes=10**7, max_pixels=10**7)
        arguments = ["--replicas", str(args.replicas)]
        with running_service(Path(scratch) / "run", models.absolute(), *arguments) as service:
            with service.client() as client:
                name = client.get("/healthz").json()["model"]
            size = len(request_kinds(name, args.side)[0].bodies[0]) // 2
            load = os.getloadavg()[0]
            print(f"{describe_machine()}; load {load:.1f} before; images of {size:,} bytes", end="")
            print(f", {args.side} x {args.side}; replicas: {args.replicas}\n")
            print(f"{'':44}latency, ms  batch: examples, ms  processor time, ms per request")
            print(
                f"{'':21}clients  req./s     p50     p99    size   check   model"
                "   server  replica      Ray   client  processors busy"
            )
            for kind in request_kinds(name, args.side):
                for num_clients in (1, 8):
                    print(
                        measure(service, kind, num_clients, args.seconds, args.requests),
                        flush=True,
                    )


if __name__ == "__main__":
    main()
