"""Sizes of classes and settings to draw pairs with."""

import numpy as np
from hypothesis import strategies as st

from diptych.schemas.config.pairs import Pairs

POLICIES = ["natural", "inverse_frequency", "oversample", "undersample"]
MOST = 20_000  # classes times the examples of the largest

SETTINGS = st.builds(
    Pairs,
    classes_per_batch=st.integers(2, 12),
    examples_per_class=st.integers(2, 7),
    ratio=st.sampled_from(["1:1", "1:3", "2:1", "3:2", "1:12"]),
    max_repeats=st.integers(1, 20),
    seed=st.integers(0, 2**32),
)

# Up to some hundreds of examples, for plain loops.
SMALL_SIZES = st.one_of(
    st.lists(st.integers(1, 40), min_size=2, max_size=16),
    st.integers(2, 20).map(lambda count: [max(60 // place, 1) for place in range(1, count + 1)]),
    st.tuples(st.integers(2, 16), st.integers(2, 15)).map(lambda pair: [pair[1]] * pair[0]),
).filter(lambda sizes: max(sizes) >= 2)


@st.composite
def class_sizes(draw, fewest=2, multiple_of=1):
    """By Zipf's law of any steepness (0: equal), or all about as likely."""
    number = draw(st.integers(fewest, 300))
    largest = draw(st.integers(2, min(MOST // number, 3000)))
    steepness = draw(st.sampled_from([0, 0.5, 1, 2, None]))
    if steepness is None:
        generator = np.random.default_rng(draw(st.integers(0, 2**32)))
        sizes = generator.integers(1, largest, number, endpoint=True)
    else:
        sizes = (largest / np.arange(1, number + 1) ** steepness).astype(int)
    return (multiple_of * np.maximum(sizes // multiple_of, 1)).tolist()
