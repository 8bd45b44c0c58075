"""A separate Airflow installation: a folder with a SQLite database, and local processes."""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import urllib.request
from pathlib import Path

from processes import descendants, start_session, wait_until

AIRFLOW = Path(__file__).parents[2] / ".tools" / "airflow" / "bin"
# In this order: the others connect to the first.
_PROCESSES = (("api-server",), ("dag-processor",), ("scheduler", "--skip-serve-logs"))


class AirflowHome:
    """Settings, logs and database of an Airflow installation with the DAG files in ``dags``."""

    def __init__(self, folder, port):
        self.folder, self.dags = folder, folder / "dags"
        self.dags.mkdir(parents=True)
        self._address = f"http://127.0.0.1:{port}"
        settings = {
            "CORE__DAGS_FOLDER": self.dags,
            "CORE__LOAD_EXAMPLES": False,
            "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
            "CORE__DAGBAG_IMPORT_TIMEOUT": 120,  # for a busy machine; the files take one second
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
            "KUBECONFIG": str(_write_kubeconfig(folder)),
            **{f"AIRFLOW__{name}": str(value) for name, value in settings.items()},
        }
        self.run("db", "migrate")

    def run(self, *words):
        """Run a command of Airflow, and return its output."""
        result = subprocess.run(
            [AIRFLOW / "airflow", *words],
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=600,
            check=False,
        )
        assert result.returncode == 0, result.stdout[-5000:]
        return result.stdout

    def read(self, program, *words):
        """Run a program with Airflow's Python, and return the JSON in its last line."""
        result = subprocess.run(
            [AIRFLOW / "python", program, *words],
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert result.returncode == 0, result.stderr[-5000:]
        return json.loads(result.stdout.splitlines()[-1])

    @contextlib.contextmanager
    def running(self):
        """Run the scheduler and its services; at the end, also end the processes of their tasks."""
        with contextlib.ExitStack() as stack:
            for words in _PROCESSES:
                log = self.folder / f"{words[0]}.log"
                process = stack.enter_context(
                    start_session([AIRFLOW / "airflow", *words], log, env=self._environment)
                )
                stack.callback(_end, process)
                # The first response takes seconds, so a task could time out.
                wait_until(self._is_healthy, 300, of=process)
            yield

    def get(self, path):
        """Return the response of the REST API."""
        token = self._request("/auth/token", {})["access_token"]
        return self._request(f"/api/v2/{path}", {"Authorization": f"Bearer {token}"})

    def _request(self, path, headers):
        request = urllib.request.Request(self._address + path, headers=headers)
        with urllib.request.urlopen(request, timeout=120) as answer:
            return json.load(answer)

    def _is_healthy(self):
        with contextlib.suppress(OSError):
            return self._request("/execution/health", {})

    def logs(self):
        """Return the end of every log, for error messages."""
        files = sorted(self.folder.rglob("*.log"), key=lambda file: file.stat().st_mtime)
        return "\n\n".join(f"{file}\n{file.read_text()[-3000:]}" for file in files)


def _write_kubeconfig(folder):
    """Write the address of a cluster that does not exist: pods are built, but not started."""
    cluster = {"name": "none", "cluster": {"server": "https://127.0.0.1:1"}}
    context = {"name": "none", "context": {"cluster": "none", "user": "nobody"}}
    users = [{"name": "nobody", "user": {}}]
    config = {"clusters": [cluster], "contexts": [context], "users": users}
    path = folder / "kube.json"
    path.write_text(json.dumps({**config, "current-context": "none"}))
    return path


def _end(process):
    """End a process and its tasks, which run in other sessions and would continue."""
    tasks = descendants(process.pid)
    process.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(10)
    for pid in tasks:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
