"""Hypothesis strategies for class sizes and pair settings."""

import numpy as np
from hypothesis import strategies as st

from diptych.schemas.config.pairs import PairsConfig

POLICIES = ["natural", "inverse_frequency", "oversample", "undersample"]
MOST = 20_000  # number of classes times the size of the largest

SETTINGS = st.builds(
    PairsConfig,
    classes_per_batch=st.integers(2, 12),
    examples_per_class=st.integers(2, 7),
    ratio=st.sampled_from(["1:1", "1:3", "2:1", "3:2", "1:12"]),
    max_repeats=st.integers(1, 20),
    seed=st.integers(0, 2**32),
)

# Up to a few hundred examples, for plain loops.
SMALL_SIZES = st.one_of(
    st.lists(st.integers(1, 40), min_size=2, max_size=16),
    st.integers(2, 20).map(lambda count: [max(60 // rank, 1) for rank in range(1, count + 1)]),
    st.tuples(st.integers(2, 16), st.integers(2, 15)).map(lambda pair: [pair[1]] * pair[0]),
).filter(lambda sizes: max(sizes) >= 2)


@st.composite
def class_sizes(draw, fewest=2, multiple_of=1):
    """Class sizes by Zipf's law with various exponents (0: equal), or uniformly distributed."""
    number = draw(st.integers(fewest, 300))
    largest = draw(st.integers(2, min(MOST // number, 3000)))
    exponent = draw(st.sampled_from([0, 0.5, 1, 2, None]))
    if exponent is None:
        generator = np.random.default_rng(draw(st.integers(0, 2**32)))
        sizes = generator.integers(1, largest, number, endpoint=True)
    else:
        sizes = (largest / np.arange(1, number + 1) ** exponent).astype(int)
    return (multiple_of * np.maximum(sizes // multiple_of, 1)).tolist()
