import numpy as np
import pytest

from diptych.components.evaluator.scored_pairs import ScoredPairs


@pytest.fixture
def draw_pairs():
    """A function that draws random pairs; positive pairs are nearer by ``skill`` on average."""

    def draw(seed, pairs=60, examples=20, skill=1.0, levels=None):
        generator = np.random.default_rng(seed)
        left = generator.integers(0, examples, pairs)
        right = (left + generator.integers(1, examples, pairs)) % examples
        same = generator.integers(0, 2, pairs)
        same[:2] = 0, 1
        distance = generator.normal(size=pairs) + skill * (1 - same) + 4
        if levels:  # creates ties
            distance = np.round(distance * levels) / levels
        return ScoredPairs(examples, left, right, same, distance.clip(0).astype(np.float32))

    return draw
