from types import SimpleNamespace

import numpy as np
import pytest

from diptych.components.pair_gen.draw import Rows, draw
from diptych.components.pair_gen.hashing import hash_of
from diptych.components.pair_gen.layout import class_weights, make_layout, place, quotas


@pytest.fixture(scope="session")
def lay_out():
    """The whole core: class sizes -> places and pairs, with rows in the order of a single shard."""

    def run(sizes, settings, policy="natural", rounds=2):
        counts = np.array(sizes, np.int64)
        amounts = quotas(hash_of(99, np.arange(counts.size)), counts, settings, policy)
        layout = make_layout(amounts, settings, rounds)
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


@pytest.fixture(scope="session")
def write_records():
    """Writes tf.Examples, given as dicts of lists, to a TFRecord file."""
    import tensorflow as tf

    def feature(values):
        if isinstance(values[0], bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=values))
        if isinstance(values[0], float):
            return tf.train.Feature(float_list=tf.train.FloatList(value=values))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=values))

    def write(path, examples):
        path.parent.mkdir(parents=True, exist_ok=True)
        compression = "GZIP" if path.suffix == ".gz" else ""
        with tf.io.TFRecordWriter(str(path), compression) as writer:
            for example in examples:
                features = {name: feature(values) for name, values in example.items()}
                record = tf.train.Example(features=tf.train.Features(feature=features))
                writer.write(record.SerializeToString())
        return str(path)

    return write
