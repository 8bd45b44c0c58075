import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from diptych.components.pair_gen.hashing import hash_integers
from diptych.components.pair_gen.layout import (
    assign_slots,
    compute_class_weights,
    compute_quotas,
    make_layout,
)
from diptych.components.pair_gen.sample_pairs import ShardRows, sample_pairs

# The helper modules of these tests are in this folder, not in a package.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def lay_out():
    """Run the core: class sizes -> slots and pairs, with rows in the order of one shard."""

    def run(sizes, settings, sampling="natural", rounds=2, similarity_ordered=False):
        counts = np.array(sizes, np.int64)
        quotas = compute_quotas(
            hash_integers(99, np.arange(counts.size)), counts, settings, sampling
        )
        orderings = None
        if similarity_ordered:  # arbitrary orderings; the tests do not depend on them
            generator = np.random.default_rng(counts.sum())
            orderings = np.stack([generator.permutation(counts.size) for _ in range(rounds)])
        layout = make_layout(quotas, settings, rounds, orderings)
        classes = np.repeat(np.arange(counts.size), counts)
        ranks = np.concatenate([np.arange(size) for size in sizes])
        slots = assign_slots(layout, classes, ranks)
        class_index = classes[slots.row]
        order = np.lexsort((slots.index, slots.chunk, class_index, slots.batch))
        row, batch, class_index = slots.row[order], slots.batch[order], class_index[order]
        chunk, padding = slots.chunk[order], slots.padding[order]
        ids = np.stack([row, row], axis=1).astype(np.uint64)
        negatives = settings.negatives_per_positive
        ratio = (negatives.denominator, negatives.numerator)
        rows = ShardRows(batch, class_index, chunk, padding, ids)
        pairs, triplets = sample_pairs(rows, ratio, settings.seed)
        return SimpleNamespace(
            layout=layout,
            quotas=quotas,
            weights=compute_class_weights(quotas, sampling),
            counts=counts,
            example=row,
            batch=batch,
            class_index=class_index,
            chunk=chunk,
            index=slots.index[order],
            padding=padding,
            round=batch // max(layout.segments.num_batches, 1),
            rows=rows,
            ratio=ratio,
            pairs=pairs,
            triplets=triplets,
        )

    return run
