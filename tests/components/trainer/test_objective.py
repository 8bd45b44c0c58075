"""Sums of the terms of every loss, over workers, batches and complete shards."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from shard_writer import blobs, write_split

from diptych.components.trainer.batches import ShardReader
from diptych.components.trainer.distances import make_distance
from diptych.components.trainer.objective import Objective
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.shards import TRIPLETS_SCHEMA, shard_name

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
    """Split of seven batches of twelve rows, four classes with three rows each, in four shards."""
    folder = tmp_path_factory.mktemp("split") / "split"
    write_split(folder, blobs(batches=7, seed=4), num_shards=4)
    for shard in range(4):
        num_batches = len(range(shard, 7, 4))
        first = np.arange(num_batches) * 12
        columns = [shard + 4 * np.arange(num_batches), first, first + 2, first + 5, first * 0 + 0.5]
        arrays = [
            pa.array(c, field.type) for c, field in zip(columns, TRIPLETS_SCHEMA, strict=True)
        ]
        pq.write_table(
            pa.table(arrays, schema=TRIPLETS_SCHEMA), folder / shard_name("triplets", shard, 4)
        )
    return folder


def make_objective(loss):
    settings = ModelConfig(loss=loss, embedding_size=6)
    distance = make_distance(settings.distance_name)
    distance.build((None, 6), (None, 6))
    return Objective(settings, distance)


def sum_terms(objective, batches):
    """Sum over batches whose normalized inputs serve as embeddings."""
    embeddings = (tf.math.l2_normalize(batch.x, axis=1) for batch in batches)
    results = [objective(x, batch.terms) for x, batch in zip(embeddings, batches, strict=True)]
    return tuple(float(sum(values)) for values in zip(*results, strict=True))


@pytest.mark.parametrize("loss", LOSSES)
def test_sums_do_not_depend_on_the_partitioning_of_the_batches(folder, loss):
    objective = make_objective(loss)

    def read_steps(rank, workers, batches_per_step):
        reader = ShardReader(folder, objective.term_kind, batches_per_step, rank, workers)
        return list(reader.iter_sequential())

    total, num_terms = sum_terms(objective, read_steps(0, 1, 1))
    assert num_terms > 0
    assert total > 0
    assert sum_terms(objective, read_steps(0, 1, 4)) == pytest.approx((total, num_terms), rel=1e-5)
    first, second = (sum_terms(objective, read_steps(rank, 2, 4)) for rank in range(2))
    both = (first[0] + second[0], first[1] + second[1])
    assert both == pytest.approx((total, num_terms), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_weights_scale_the_sum_but_not_the_number_of_terms(folder, loss):
    objective = make_objective(loss)
    batches = list(ShardReader(folder, objective.term_kind, 1).iter_sequential())
    total, num_terms = sum_terms(objective, batches)
    for batch in batches:
        batch.terms["weight"] = 3 * batch.terms["weight"]
    assert sum_terms(objective, batches) == pytest.approx((3 * total, num_terms), rel=1e-5)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_compiled_step_accepts_an_empty_batch(folder, loss):
    objective = make_objective(loss)
    *_, batch = ShardReader(folder, objective.term_kind, 4, rank=3, world_size=4).iter_sequential()
    assert len(batch.x) == 0  # the second step has three of four batches
    total, num_terms = tf.function(objective)(tf.zeros([0, 6]), batch.terms)
    assert (float(total), float(num_terms)) == (0, 0)
