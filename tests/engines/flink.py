"""A Flink cluster on this machine: job manager, task managers and Beam's job server."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request

_JAVA = [
    # These JVMs run for a minute: a serial garbage collector and a fast compiler suffice.
    *("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    *(
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    ),
    # Packages that Flink 1.16 accesses by reflection, closed since Java 17.
    *(
        f"--add-opens=java.base/java.{name}=ALL-UNNAMED"
        for name in ("lang", "lang.reflect", "net", "nio", "io", "text", "time", "util")
    ),
    "--add-opens=java.base/java.util.concurrent=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-exports=java.base/sun.net.util=ALL-UNNAMED",
]
_JOB_MANAGER = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
_TASK_MANAGER = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
_JOB_SERVER = "org.apache.beam.runners.flink.FlinkJobServerDriver"
_SLOTS = 2

_CONFIGURATION = """\
jobmanager.rpc.address: 127.0.0.1
jobmanager.rpc.port: {rpc_port}
jobmanager.bind-host: 127.0.0.1
taskmanager.host: 127.0.0.1
taskmanager.bind-host: 127.0.0.1
rest.address: 127.0.0.1
rest.bind-address: 127.0.0.1
rest.port: {rest_port}
web.refresh-interval: 200
io.tmp.dirs: {folder}
# A lost worker restarts its tasks. Each failed task counts as an attempt.
restart-strategy: fixed-delay
restart-strategy.fixed-delay.attempts: 1000
restart-strategy.fixed-delay.delay: 1 s
# Detect a broken connection quickly, but tolerate a slow machine.
heartbeat.interval: 1000
heartbeat.timeout: 120000
taskmanager.numberOfTaskSlots: {slots}
taskmanager.cpu.cores: 2.0
taskmanager.memory.framework.heap.size: 128m
taskmanager.memory.framework.off-heap.size: 64m
taskmanager.memory.task.heap.size: 384m
taskmanager.memory.task.off-heap.size: 64m
taskmanager.memory.managed.size: 128m
taskmanager.memory.network.min: 256m
taskmanager.memory.network.max: 256m
taskmanager.memory.jvm-metaspace.size: 256m
taskmanager.memory.jvm-overhead.min: 64m
taskmanager.memory.jvm-overhead.max: 64m
# A small job has many exchanges; each would take 16 MB of network memory by default.
taskmanager.network.sort-shuffle.min-buffers: 64
"""


class FlinkCluster:
    """Run a Flink cluster; stop all processes that it started, and no others.

    Args:
      jar: Built from tests/engines/pom.xml.
      folder: Folder for configuration, logs and temporary files of Flink.
    """

    def __init__(self, jar, folder):
        self._jar, self._folder = jar, folder
        self._processes = {}
        self._rest_port, self._rpc_port, self._job_port = _free_ports(3)
        self._master = f"127.0.0.1:{self._rest_port}"

    def __enter__(self):
        (self._folder / "flink-conf.yaml").write_text(
            _CONFIGURATION.format(
                rpc_port=self._rpc_port,
                rest_port=self._rest_port,
                folder=self._folder,
                slots=_SLOTS,
            )
        )
        conf = ("--configDir", str(self._folder))
        try:
            self._start("job manager", "-Xmx384m", _JOB_MANAGER, *conf, "--executionMode=cluster")
            self.start_task_manager("first")
            server = ("--flink-master", self._master, "--artifacts-dir", str(self._folder))
            ports = ("--job-port", str(self._job_port), "--artifact-port=0", "--expansion-port=0")
            self._start("job server", "-Xmx384m", _JOB_SERVER, *server, *ports)
            self.wait_for(lambda: self._get("overview")["slots-total"] == _SLOTS)
            self.wait_for(lambda: socket.create_connection(("127.0.0.1", self._job_port), 1))
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for name in list(self._processes):
            self._kill(name)

    def beam_options(self):
        """Return the Beam options that select this cluster."""
        return {
            "flink_master": self._master,
            "job_endpoint": f"127.0.0.1:{self._job_port}",
            "parallelism": _SLOTS,
        }

    def start_task_manager(self, name):
        """Start a task manager with the given resource id."""
        self._start(
            name,
            *("-Xmx512m", "-XX:MaxDirectMemorySize=384m"),
            *(_TASK_MANAGER, "--configDir", str(self._folder), f"-Dtaskmanager.resource-id={name}"),
        )

    def kill_task_manager(self, name):
        """Kill a task manager, as if its machine had lost power."""
        self._kill(name)

    def jobs(self):
        """Return the REST description of each job, the oldest first."""
        jobs = self._get("jobs/overview")["jobs"]
        ordered = sorted(jobs, key=lambda job: job["start-time"])
        return [self._get(f"jobs/{job['jid']}") for job in ordered]

    def task_managers_of(self, job):
        """Return the names of the task managers that run tasks of a job."""
        names = set()
        for vertex in job["vertices"]:
            for task in self._get(f"jobs/{job['jid']}/vertices/{vertex['id']}")["subtasks"]:
                if task["status"] == "RUNNING":
                    names.add(task["taskmanager-id"])
        return names

    def losses(self, job):
        """Return the names of the exceptions that restarted tasks of a job."""
        history = self._get(f"jobs/{job['jid']}/exceptions")["exceptionHistory"]["entries"]
        return [entry["exceptionName"] for entry in history]

    def wait_for(self, condition, timeout_s=180):
        """Wait until the condition holds; connection errors count as False.

        Returns:
          The result of the condition.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} has exited, see {self._folder}/{name}.log"
            try:
                if result := condition():
                    return result
            except OSError:
                pass
            time.sleep(0.1)
        raise TimeoutError(f"condition not met after {timeout_s} s, see the logs in {self._folder}")

    def _get(self, path):
        with urllib.request.urlopen(f"http://{self._master}/{path}", timeout=20) as response:
            return json.load(response)

    def _start(self, name, *arguments):
        flags = [argument for argument in arguments if argument.startswith("-X")]
        command = [*_JAVA, *flags, "-cp", str(self._jar), *arguments[len(flags) :]]
        with open(self._folder / f"{name}.log", "wb") as log:
            self._processes[name] = subprocess.Popen(
                # Killed together with the Python process.
                ["setpriv", "--pdeathsig=KILL", "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _kill(self, name):
        process = self._processes.pop(name)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _free_ports(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [server.getsockname()[1] for server in sockets]
    for server in sockets:
        server.close()
    return ports
