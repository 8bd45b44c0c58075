"""Fuzz the readers of untrusted bytes with atheris, guided by coverage.

    make fuzz ARGS="--target images --seconds 60"

Each target starts from its seeds in ``tests/fuzz/corpus`` and from what previous runs found, in
``build/fuzz``. An exception that is no documented refusal, a violated property, more than 20 s or
3 GB for one input is a finding: its input is written to ``build/fuzz/TARGET``, the next targets
run, and the exit code is 1. To run a target on one input again:

    make fuzz ARGS="--target images --input build/fuzz/images/crash-da39a3ee"
"""

import argparse
import importlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzz.targets import NAMES

_CORPUS = Path(__file__).parent / "corpus"
_OUTPUT = Path(__file__).parents[2] / "build" / "fuzz"
_INPUT_TIMEOUT_S, _MAX_MB, _MAX_INPUT_BYTES = 20, 3072, 16_384
_STATUS = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)


def main():
    parser = argparse.ArgumentParser(
        "make fuzz", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--target", choices=NAMES, help="target (default: all, one after another)")
    parser.add_argument("--seconds", type=int, default=60, help="per target (default: 60)")
    parser.add_argument("--input", type=Path, help="run --target once on this file instead")
    arguments = parser.parse_args()
    names = [arguments.target] if arguments.target else NAMES
    if arguments.input:
        if arguments.target is None:
            parser.error("--input needs --target")
        importlib.import_module(f"fuzz.targets.{arguments.target}").check(
            arguments.input.read_bytes()
        )
        return
    failed = [name for name in names if not fuzz(name, arguments.seconds)]
    if failed:
        sys.exit(f"Findings in: {', '.join(failed)}. See build/fuzz.")


def fuzz(name, seconds):
    """Fuzz a target, print a summary in one line, and return whether nothing was found."""
    found = _OUTPUT / name
    (found / "corpus").mkdir(parents=True, exist_ok=True)
    log, tokens = found / "log.txt", found / "tokens.txt"
    tokens.write_text("".join(f'"{_escape(token)}"\n' for token in tokens_of(name)))
    command = [
        *(sys.executable, "-m", "fuzz.engine", name),
        *(found / "corpus", _CORPUS / name),
        *(f"-max_total_time={seconds}", f"-dict={tokens}", f"-max_len={_MAX_INPUT_BYTES}"),
        *(f"-timeout={_INPUT_TIMEOUT_S}", f"-rss_limit_mb={_MAX_MB}"),
        f"-artifact_prefix={found}/",
    ]
    started = time.monotonic()
    # The fuzzer ends without removing its files.
    with log.open("wb") as output, tempfile.TemporaryDirectory(dir=_find_memory()) as scratch:
        environment = {**os.environ, "TMPDIR": scratch, "TF_CPP_MIN_LOG_LEVEL": "3"}
        code = subprocess.run(
            list(map(str, command)), stdout=output, stderr=output, env=environment, check=False
        ).returncode
    text = log.read_text(errors="replace")
    statuses = _STATUS.findall(text) or [("0", "0", "0", "0")]
    runs, coverage, features, inputs = statuses[-1]
    print(
        f"{name}: {runs} inputs in {time.monotonic() - started:.0f} s, {coverage} edges, "
        f"{features} features, {inputs} in the corpus; {'a finding' if code else 'no finding'}, "
        f"see {os.path.relpath(log)}",
        flush=True,
    )
    return not code


def tokens_of(name):
    """Read ``TOKENS`` of a target, without the packages that the target imports."""
    return importlib.import_module(f"fuzz.targets.{name}").TOKENS


def _find_memory():
    """Return a folder in memory, if there is one: every input is written to a file."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _escape(token):
    return "".join(f"\\x{byte:02x}" for byte in token)


if __name__ == "__main__":
    main()
