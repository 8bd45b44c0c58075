"""Containers of the image, with the restrictions of a cluster."""

import os
import subprocess
from pathlib import Path

import diptych

ROOT = Path(__file__).parents[2]
IMAGE = f"localhost/diptych:{diptych.__version__}"
USER = 10001
# Explicit limits: the defaults of Podman may exceed those of the machine.
_LIMITS = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=4096:4096", "--shm-size", "1g"]
_UNPRIVILEGED = ["--cap-drop", "all", "--security-opt", "no-new-privileges", "--network", "none"]
_READ_ONLY = ["--read-only", "--read-only-tmpfs=false"]
_SCRATCH = ["--tmpfs", "/tmp:mode=1777", "--tmpfs", "/home/diptych:mode=1777"]


def run_in_image(*command, options=(), entrypoint=None, read_only=True):
    """Run a command of the image, or of another entry point, in a new container."""
    result = subprocess.run(
        [
            *["podman", "--runtime", "runc", "run", "--rm", "--timeout", "500"],  # in seconds
            *[*_LIMITS, *_UNPRIVILEGED],
            *([*_READ_ONLY, *_SCRATCH] if read_only else []),
            *(["--entrypoint", entrypoint] if entrypoint else []),
            *options,
            IMAGE,
            *command,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, (
        f"exit code {result.returncode}\n{result.stdout}\n{result.stderr}"
    )
    return result.stdout


def owned_by_its_user(folder):
    folder.mkdir()
    os.chown(folder, USER, USER)
    return folder
