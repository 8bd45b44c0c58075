"""Fuzz one target in this process with atheris. Started by ``fuzz``, with options of libFuzzer."""

import importlib
import logging
import sys
from pathlib import Path

import atheris


def main():
    name = sys.argv.pop(1)
    logging.disable()
    with atheris.instrument_imports(include=["diptych"]):
        target = importlib.import_module(f"fuzz.targets.{name}")
        # The first calls import packages and trace graphs, for longer than an input may take.
        for seed in sorted((Path(__file__).parent / "corpus" / name).iterdir()):
            target.check(seed.read_bytes())
    options = {}
    if hasattr(target, "mutate"):

        def mutate(data, max_size, seed):
            return target.mutate(data, max_size, seed, atheris.Mutate)

        options["custom_mutator"] = mutate
    atheris.Setup(sys.argv, target.check, **options)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
