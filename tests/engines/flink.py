"""A Flink cluster on this machine: job manager, task managers and Beam's job server, a JVM each."""

import json
import os
import signal
import socket
import subprocess
import time
import urllib.request

_JAVA = [
    # These JVMs live for a minute: no threads to collect garbage, no time to optimise.
    *("java", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),
    *(
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    ),
    # What Flink 1.16 looks into, closed since Java 17.
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
# A lost worker: its tasks run again. Each task that fails counts, and a job has many of them.
restart-strategy: fixed-delay
restart-strategy.fixed-delay.attempts: 1000
restart-strategy.fixed-delay.delay: 1 s
# A broken connection is noticed at once; a slow machine is not taken for a dead one.
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
# A small job has many exchanges, and by default each would take 16 MB of the network's memory.
taskmanager.network.sort-shuffle.min-buffers: 64
"""


class FlinkCluster:
    """Starts all but the task managers' successors; stops what it started, and nothing else.

    Args:
      jar: of tests/engines/pom.xml.
      folder: for configuration, logs and Flink's own files.
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
        """Those that lead to this cluster."""
        return {
            "flink_master": self._master,
            "job_endpoint": f"127.0.0.1:{self._job_port}",
            "parallelism": _SLOTS,
        }

    def start_task_manager(self, name):
        """Another one, which calls itself so."""
        self._start(
            name,
            *("-Xmx512m", "-XX:MaxDirectMemorySize=384m"),
            *(_TASK_MANAGER, "--configDir", str(self._folder), f"-Dtaskmanager.resource-id={name}"),
        )

    def kill_task_manager(self, name):
        """As if its machine had lost power."""
        self._kill(name)

    def jobs(self):
        """Each job as the REST interface describes it, the oldest first."""
        known = self._get("jobs/overview")["jobs"]
        ordered = sorted(known, key=lambda job: job["start-time"])
        return [self._get(f"jobs/{job['jid']}") for job in ordered]

    def task_managers_of(self, job):
        """Names of those that run its tasks now."""
        names = set()
        for vertex in job["vertices"]:
            for task in self._get(f"jobs/{job['jid']}/vertices/{vertex['id']}")["subtasks"]:
                if task["status"] == "RUNNING":
                    names.add(task["taskmanager-id"])
        return names

    def losses(self, job):
        """Names of the exceptions that made tasks of a job run again."""
        history = self._get(f"jobs/{job['jid']}/exceptions")["exceptionHistory"]["entries"]
        return [entry["exceptionName"] for entry in history]

    def wait_for(self, condition, timeout_s=180):
        """Waits until the condition holds; connections may fail before.

        Returns:
          What the condition returned.
        """
        give_up = time.monotonic() + timeout_s
        while time.monotonic() < give_up:
            for name, process in self._processes.items():
                assert process.poll() is None, f"{name} has ended, see {self._folder}/{name}.log"
            try:
                if found := condition():
                    return found
            except OSError:
                pass
            time.sleep(0.1)
        raise TimeoutError(f"not after {timeout_s} s, see the logs in {self._folder}")

    def _get(self, path):
        with urllib.request.urlopen(f"http://{self._master}/{path}", timeout=20) as answer:
            return json.load(answer)

    def _start(self, name, *arguments):
        flags = [argument for argument in arguments if argument.startswith("-X")]
        command = [*_JAVA, *flags, "-cp", str(self._jar), *arguments[len(flags) :]]
        with open(self._folder / f"{name}.log", "wb") as log:
            self._processes[name] = subprocess.Popen(
                # Where Python is killed, these end with it.
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
