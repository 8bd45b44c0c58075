"""Runs one contestant in a process of its own, in the environment that has its packages."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path


def main(name: str, folder: str, arguments: str) -> None:
    """Prints what it tells, as JSON."""
    answer = importlib.import_module(f"benchmarks.train.{name}").run(
        Path(folder), **json.loads(arguments)
    )
    print(json.dumps(dataclasses.asdict(answer) if dataclasses.is_dataclass(answer) else answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
