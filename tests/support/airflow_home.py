"""An Airflow of its own: a folder with a database in SQLite, and its processes on the loopback."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import urllib.request
from pathlib import Path

from processes import descendants, started, wait_until

AIRFLOW = Path(__file__).parents[2] / ".tools" / "airflow" / "bin"
# In this order; every process asks the first.
_PROCESSES = (("api-server",), ("dag-processor",), ("scheduler", "--skip-serve-logs"))


class AirflowHome:
    """Settings, logs and database of an Airflow whose DAG files are in ``dags``."""

    def __init__(self, folder, port):
        self.folder, self.dags = folder, folder / "dags"
        self.dags.mkdir(parents=True)
        self._address = f"http://127.0.0.1:{port}"
        settings = {
            "CORE__DAGS_FOLDER": self.dags,
            "CORE__LOAD_EXAMPLES": False,
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
            "CORE__DAGBAG_IMPORT_TIMEOUT": 120,  # on a busy machine; the files take a second
            "CORE__PARALLELISM": 1,
            "WORKERS__EXECUTION_API_TIMEOUT": 60,
            "CORE__EXECUTION_API_SERVER_URL": f"{self._address}/execution/",
            "CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": True,
            "API__HOST": "127.0.0.1",
            "API__PORT": port,
            "API__WORKERS": 1,
            "API__SECRET_KEY": secrets.token_hex(16),
            "API_AUTH__JWT_SECRET": secrets.token_hex(32),
            "DAG_PROCESSOR__DAG_FILE_PROCESSOR_TIMEOUT": 180,
        }
        self._environment = {
            **{name: value for name, value in os.environ.items() if "PYTHON" not in name},
            "AIRFLOW_HOME": str(folder),
            "KUBECONFIG": str(_cluster(folder)),
            **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
        }
        self.run("db", "migrate")

    def run(self, *words):
        """Runs a command of Airflow; returns what it prints."""
        done = subprocess.run(
            [AIRFLOW / "airflow", *words],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-5000:]
        return done.stdout

    def read(self, program, *words):
        """Runs a program with Airflow's Python; it prints JSON in its last line."""
        done = subprocess.run(
            [AIRFLOW / "python", program, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-5000:]
        return json.loads(done.stdout.splitlines()[-1])

    @contextlib.contextmanager
    def running(self):
        """Starts the scheduler and what it needs, and ends all that they have started."""
        with contextlib.ExitStack() as stack:
            for words in _PROCESSES:
                log = self.folder / f"{words[0]}.log"
                process = stack.enter_context(
                    started([AIRFLOW / "airflow", *words], log, env=self._environment)
                )
                stack.callback(_end, process)
                # The first answer takes it seconds: no task is to wait for that, and fail.
                wait_until(self._answers, 300, of=process)
            yield

    def get(self, path):
        """What the API says."""
        token = self._ask("/auth/token", {})["access_token"]
        return self._ask(f"/api/v2/{path}", {"Authorization": f"Bearer {token}"})

    def _ask(self, path, headers):
        request = urllib.request.Request(self._address + path, headers=headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def _answers(self):
        with contextlib.suppress(OSError):
            return self._ask("/execution/health", {})

    def logs(self):
        """The end of every log: why it did not go as it should."""
        files = sorted(self.folder.rglob("*.log"), key=lambda file: file.stat().st_mtime)
        return "\n\n".join(f"{file}\n{file.read_text()[-3000:]}" for file in files)


def _cluster(folder):
    """The address of a cluster, which is not there: a pod is put together, and not started."""
    cluster = {"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "none", "context": {"cluster": "none", "user": "nobody"}}
    users = [{"name": "nobody", "user": {}}]
    known = {"clusters": [cluster], "contexts": [context], "users": users}
    path = folder / "kube.json"
    path.write_text(json.dumps({**known, "current-context": "none"}))
    return path


def _end(process):
    """A task is in a session of its own, and goes with its ancestors only if it is told."""
    tasks = descendants(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    for pid in tasks:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
