"""Golden values: a new value here re-samples every data set."""

import hashlib

import numpy as np
import pytest

from diptych.schemas.config.pairs import PairsConfig

SMALL = PairsConfig(classes_per_batch=2, examples_per_class=2, seed=5)


def format_batches(sampled):
    """Format each batch: rows (``*`` is padding), pairs (= positive, / negative), triplets."""
    rank = sampled.example - (sampled.counts.cumsum() - sampled.counts)[sampled.class_index]
    names = [
        f"{'abcd'[class_index]}{number}"
        for class_index, number in zip(sampled.class_index, rank, strict=True)
    ]
    lines = []
    for batch in range(sampled.layout.num_batches):
        rows = [
            f"{names[row]}{'*' if sampled.padding[row] else ''}"
            for row in np.flatnonzero(sampled.batch == batch)
        ]
        pairs = [
            f"{names[left]}{'=' if same else '/'}{names[right]}"
            for left, right, same in zip(
                sampled.pairs.left, sampled.pairs.right, sampled.pairs.same, strict=True
            )
            if sampled.batch[left] == batch
        ]
        sides = (sampled.triplets.anchor, sampled.triplets.positive, sampled.triplets.negative)
        triplets = [
            "".join(names[row] for row in triplet)
            for triplet in zip(*sides, strict=True)
            if sampled.batch[triplet[0]] == batch
        ]
        lines.append(" | ".join(" ".join(part) for part in (rows, pairs, triplets)))
    return lines


NATURAL = [
    "a0 a3 b1 b0* | a0=a3 b1/a0 b1/a3 b0=b1 | a0a3b1 b1b0a0",
    "b0 b2 c0 c1 | b2=b0 b2/c1 c0/b0 c1=c0 | b2b0c1 c0c1b0",
    "a4 a2 a1 a4* d0 | a2=a4 a2/d0 a4=a1 d0/a4 | a2a4d0 a4a1d0",
]
OVERSAMPLE = [
    "c0 c1 d0 | c0=c1 d0/c1 | c0c1d0",
    "a4 a2 d0 | a2=a4 d0/a2 | a2a4d0",
    "a0 a3 b1 b0* | a0/b1 a3=a0 a3/b1 b0=b1 | a3a0b1 b0b1a0",
    "a1 a4* b1 b2 | a1=a4 a1/b1 b2/a1 b2=b1 | a4a1b1 b1b2a4",
    "c1 c0 d0 | c1=c0 d0/c0 | c1c0d0",
    "b0 b2 c0 c1 | b0=b2 b0/c1 c0/b2 c0=c1 | b0b2c1 c1c0b2",
]
UNDERSAMPLE = [
    "a4 a2 d0 | a4=a2 d0/a2 | a4a2d0",
    "b0 b2 c0 c1 | b2=b0 b2/c1 c0/b0 c1=c0 | b2b0c1 c0c1b0",
]


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("natural", NATURAL),
        ("inverse_frequency", NATURAL),
        ("oversample", OVERSAMPLE),
        ("undersample", UNDERSAMPLE),
    ],
)
def test_small_samples_are_frozen(lay_out, sampling, expected):
    assert format_batches(lay_out([5, 3, 2, 1], SMALL, sampling, rounds=1)) == expected


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ("natural", "1b39f3f0752135ab"),
        ("inverse_frequency", "1b39f3f0752135ab"),
        ("oversample", "016b68275e0c6c37"),
        ("undersample", "c26eb9c796baf29b"),
    ],
)
def test_large_samples_are_frozen(lay_out, sampling, expected):
    sizes = [150, 31, 30, 12, 9, 6, 5, 5, 4, 3, 2, 1, 1]
    sampled = lay_out(sizes, PairsConfig(classes_per_batch=3, ratio="1:3"), sampling)
    assert compute_digest(sampled) == expected


def compute_digest(sampled):
    columns = (
        *(sampled.example, sampled.batch, sampled.padding),
        *(sampled.pairs.left, sampled.pairs.right, sampled.pairs.same),
        *(sampled.triplets.anchor, sampled.triplets.positive, sampled.triplets.negative),
    )
    data = b"".join(column.astype("<i8").tobytes() for column in columns)
    return hashlib.blake2b(data, digest_size=8).hexdigest()
