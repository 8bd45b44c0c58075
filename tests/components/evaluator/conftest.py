import numpy as np
import pytest

from diptych.components.evaluator.scored_pairs import Judged


@pytest.fixture
def draw_judged():
    """Draws pairs of examples; the higher the skill, the nearer are same ones."""

    def draw(seed, pairs=60, examples=20, skill=1.0, levels=None):
        generator = np.random.default_rng(seed)
        left = generator.integers(0, examples, pairs)
        right = (left + generator.integers(1, examples, pairs)) % examples
        same = generator.integers(0, 2, pairs)
        same[:2] = 0, 1
        distance = generator.normal(size=pairs) + skill * (1 - same) + 4
        if levels:  # ties
            distance = np.round(distance * levels) / levels
        return Judged(examples, left, right, same, distance.clip(0).astype(np.float32))

    return draw
