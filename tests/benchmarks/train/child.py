"""Entry point of a child process: run one module of the benchmark and print its result."""

import dataclasses
import importlib
import json
import sys
from pathlib import Path


def main(name: str, folder: str, arguments: str) -> None:
    """Call ``run`` of a module and print its result as JSON."""
    result = importlib.import_module(f"benchmarks.train.{name}").run(
        Path(folder), **json.loads(arguments)
    )
    print(json.dumps(dataclasses.asdict(result) if dataclasses.is_dataclass(result) else result))


if __name__ == "__main__":
    main(*sys.argv[1:])
