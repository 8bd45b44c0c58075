import importlib
from pathlib import Path

import pytest

from fuzz.targets import NAMES

CORPUS = Path(__file__).parent / "corpus"
SEEDS = sorted(path.relative_to(CORPUS).as_posix() for path in CORPUS.rglob("*") if path.is_file())


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_is_read_or_refused(seed):
    target = importlib.import_module(f"fuzz.targets.{seed.partition('/')[0]}")
    target.check((CORPUS / seed).read_bytes())


def test_every_target_has_seeds():
    assert {seed.partition("/")[0] for seed in SEEDS} == set(NAMES)
