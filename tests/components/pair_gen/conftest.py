import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from diptych.components.pair_gen.hashing import hash_of
from diptych.components.pair_gen.layout import class_weights, make_layout, place, quotas
from diptych.components.pair_gen.sample_pairs import Rows, draw

# The helpers of these tests stand beside them, in no package.
sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def lay_out():
    """The whole core: class sizes -> places and pairs, with rows in the order of a single shard."""

    def run(sizes, settings, policy="natural", rounds=2, in_line=False):
        counts = np.array(sizes, np.int64)
        amounts = quotas(hash_of(99, np.arange(counts.size)), counts, settings, policy)
        lines = None
        if in_line:  # any lines will do: nothing here depends on which
            generator = np.random.default_rng(counts.sum())
            lines = np.stack([generator.permutation(counts.size) for _ in range(rounds)])
        layout = make_layout(amounts, settings, rounds, lines)
        classes = np.repeat(np.arange(counts.size), counts)
        ranks = np.concatenate([np.arange(size) for size in sizes])
        places = place(layout, classes, ranks)
        kind = classes[places.row]
        order = np.lexsort((places.index, places.chunk, kind, places.batch))
        row, batch, kind = places.row[order], places.batch[order], kind[order]
        chunk, fill = places.chunk[order], places.fill[order]
        ids = np.stack([row, row], axis=1).astype(np.uint64)
        different = settings.different_per_same
        ratio = (different.denominator, different.numerator)
        rows = Rows(batch, kind, chunk, fill, ids)
        pairs, triplets = draw(rows, ratio, settings.seed)
        return SimpleNamespace(
            layout=layout,
            amounts=amounts,
            weights=class_weights(amounts, policy),
            counts=counts,
            example=row,
            batch=batch,
            kind=kind,
            chunk=chunk,
            index=places.index[order],
            fill=fill,
            round=batch // max(layout.segments.num_batches, 1),
            rows=rows,
            ratio=ratio,
            pairs=pairs,
            triplets=triplets,
        )

    return run
