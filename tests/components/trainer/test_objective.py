"""The terms of every loss, added up over workers, over batches, and over all of a shard."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from shard_writer import blobs, write_split

from diptych.components.trainer.batches import ShardReader
from diptych.components.trainer.distances import make_distance
from diptych.components.trainer.objective import Objective
from diptych.schemas.config.model import Model
from diptych.schemas.shards import TRIPLETS, shard_name

LOSSES = [
    "contrastive",
    *({"name": "triplet", "mining": mining} for mining in ("given", "all", "hard", "semi_hard")),
    "cosine_embedding",
    "circle",
    "multi_similarity",
    "supervised_contrastive",
    "binary_cross_entropy",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Seven batches of twelve rows: four classes, three rows each; in four shards."""
    folder = tmp_path_factory.mktemp("split") / "split"
    write_split(folder, blobs(batches=7, seed=4), num_shards=4)
    for shard in range(4):
        of_shard = len(range(shard, 7, 4))
        first = np.arange(of_shard) * 12
        columns = [shard + 4 * np.arange(of_shard), first, first + 2, first + 5, first * 0 + 0.5]
        arrays = [pa.array(c, field.type) for c, field in zip(columns, TRIPLETS, strict=True)]
        pq.write_table(pa.table(arrays, schema=TRIPLETS), folder / shard_name("triplets", shard, 4))
    return folder


def _objective(loss):
    settings = Model(loss=loss, embedding_size=6)
    distance = make_distance(settings.measured_by)
    distance.build((None, 6), (None, 6))
    return Objective(settings, distance)


def _sums(objective, batches):
    """Of batches whose inputs are taken for their embeddings."""
    units = (tf.math.l2_normalize(batch.x, axis=1) for batch in batches)
    pairs = [objective(x, batch.terms) for x, batch in zip(units, batches, strict=True)]
    return tuple(float(sum(part)) for part in zip(*pairs, strict=True))


@pytest.mark.parametrize("loss", LOSSES)
def test_sums_do_not_depend_on_how_batches_are_shared_out(folder, loss):
    objective = _objective(loss)

    def steps(rank, workers, at_once):
        return list(ShardReader(folder, objective.kind, at_once, rank, workers).in_order())

    total, number = _sums(objective, steps(0, 1, 1))
    assert number > 0
    assert total > 0
    assert _sums(objective, steps(0, 1, 4)) == pytest.approx((total, number), rel=1e-5)
    first, second = (_sums(objective, steps(rank, 2, 4)) for rank in range(2))
    assert (first[0] + second[0], first[1] + second[1]) == pytest.approx((total, number), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_weight_multiplies_its_terms_and_leaves_their_number(folder, loss):
    objective = _objective(loss)
    batches = list(ShardReader(folder, objective.kind, 1).in_order())
    total, number = _sums(objective, batches)
    for batch in batches:
        batch.terms["weight"] = 3 * batch.terms["weight"]
    assert _sums(objective, batches) == pytest.approx((3 * total, number), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_step_compiled_for_any_length_takes_an_empty_batch(folder, loss):
    objective = _objective(loss)
    *_, batch = ShardReader(folder, objective.kind, 4, rank=3, workers=4).in_order()
    assert len(batch.x) == 0  # four batches a step, and seven there
    total, number = tf.function(objective)(tf.zeros([0, 6]), batch.terms)
    assert (float(total), float(number)) == (0, 0)
