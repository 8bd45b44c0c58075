import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import hypothesis
import pytest
from processes import repeat_in_background

# A deadline would time the tests: on a busy machine, they would fail at random.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")


class PortableBeam:
    """Beam's local job service, and a worker pool that starts one process per worker.

    Nothing is shared with the test process: pipelines are serialized, as on a cluster.
    """

    def __init__(self, folder):
        self.folder = folder
        self._job_port, self._pool_port = free_port(), free_port()
        main = "apache_beam.runners."
        self._job_service = self._start(
            f"{main}portability.local_job_service_main", f"--port={self._job_port}"
        )
        self._pool = self._start(
            f"{main}worker.worker_pool_main", f"--service_port={self._pool_port}"
        )
        for port, process in ((self._job_port, self._job_service), (self._pool_port, self._pool)):
            wait_for(port, process)

    def pipeline(self):
        """Return a pipeline for the job service, which uses one worker."""
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions

        options = PipelineOptions(
            runner="PortableRunner",
            job_endpoint=f"127.0.0.1:{self._job_port}",
            environment_type="EXTERNAL",
            environment_config=f"127.0.0.1:{self._pool_port}",
        )
        return beam.Pipeline(options=options)

    def pipeline_with_workers(self, number):
        """Return a pipeline run from this process, with ``number`` workers of the pool."""
        import apache_beam as beam
        from apache_beam.options.pipeline_options import PipelineOptions
        from apache_beam.runners.portability.fn_api_runner import FnApiRunner
        from apache_beam.transforms.environments import ExternalEnvironment

        runner = FnApiRunner(
            default_environment=ExternalEnvironment(f"127.0.0.1:{self._pool_port}")
        )
        return beam.Pipeline(runner=runner, options=PipelineOptions(direct_num_workers=number))

    @contextlib.contextmanager
    def watch_memory(self):
        """Record the peak memory in bytes of each worker started meanwhile, by process id."""
        peaks: dict[int, int] = {}
        existing = set(children(self._pool.pid))

        def record():
            for pid in set(children(self._pool.pid)) - existing:
                peaks[pid] = max(peak_memory(pid), peaks.get(pid, 0))

        with repeat_in_background(record, 0.1):
            yield peaks

    def stop(self):
        for process in (self._job_service, self._pool):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(
                    process.pid, signal.SIGKILL
                )  # the workers are in the process group of the pool
            process.wait()

    def _start(self, module, argument):
        # The pool starts the first "python" on PATH.
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        with (self.folder / f"{module}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", module, argument],
                env={**os.environ, "PATH": path, "TF_CPP_MIN_LOG_LEVEL": "3"},
                stdout=log,
                stderr=log,
                start_new_session=True,
            )


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for(port, process, timeout_s=120):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"{process.args} does not listen on {port}, exit code {process.poll()}")


def children(pid):
    lists = Path(f"/proc/{pid}/task").glob("*/children")  # each thread has its own
    return [int(child) for path in lists for child in path.read_text().split()]


def peak_memory(pid):
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):  # the process has just ended
        return 0
    lines = dict(line.split(":", 1) for line in status.splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024 if "VmHWM" in lines else 0


@pytest.fixture(scope="session")
def portable_beam(tmp_path_factory):
    service = PortableBeam(tmp_path_factory.mktemp("portable"))
    yield service
    service.stop()


@pytest.fixture(scope="session")
def write_records():
    """Return a function that writes tf.Examples, given as dicts of lists, to a TFRecord file."""
    import tensorflow as tf

    def feature(values):
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def write(path, examples):
        path.parent.mkdir(parents=True, exist_ok=True)
        compression = "GZIP" if path.suffix == ".gz" else ""
        with tf.io.TFRecordWriter(str(path), compression) as writer:
            for example in examples:
                features = {name: feature(values) for name, values in example.items()}
                record = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(record.SerializeToString())
        return str(path)

    return write


@pytest.fixture
def run_in_process(capfd):
    """Run ``diptych run`` in this process, where TFX is imported once for all tests."""
    from diptych.cli.main import main

    def run(config, root, *settings):
        overrides = [f"--set={setting}" for setting in settings]
        with pytest.raises(SystemExit) as exit_:
            main(["run", str(config), "--root", str(root), *overrides])
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(["run"], exit_.value.code, out, err)

    return run
