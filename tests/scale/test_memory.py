"""Peak memory of each step of PairGen in a worker, not counting its input."""

import concurrent.futures
import multiprocessing
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from memory import measure_memory_growth
from million import INPUTS, make_class_keys, make_ids

from diptych.components.pair_gen.hashing import hash_ids
from diptych.components.pair_gen.partition import assign_partition_slots, partition_rows
from diptych.components.pair_gen.plan import PARTITION_BYTES, make_plan
from diptych.components.pair_gen.rows import concat_batches, estimate_row_bytes, row_schema
from diptych.components.pair_gen.shard import make_shard_tables, routed_schema
from diptych.components.pair_gen.write_shards import write_shard
from diptych.schemas.config.pairs import PairsConfig

MAX_ROWS = PARTITION_BYTES // estimate_row_bytes(INPUTS)
PARTIAL_SUFFIX = MAX_ROWS // 2 - 1
SETTINGS = PairsConfig(sampling="oversample", max_repeats=10, rounds=2)


def make_test_plan(sizes, settings=SETTINGS):
    keys = make_class_keys(len(sizes))
    order = np.argsort(keys)
    return make_plan("train", keys[order], np.array(sizes)[order], settings, INPUTS)


def make_rows(classes, plan):
    """Make rows of the given classes."""
    count = classes.size
    ids = make_ids(np.arange(count))
    columns = {
        "id": to_fixed_binary(ids),
        "label": pa.array([b"%07d"] * count, pa.binary()),
        "class": pa.array(classes),
        "x": to_fixed_binary(np.zeros((count, 64), np.uint8)),
        "key": pa.array(plan.keys[classes]),
        "hash": pa.array(hash_ids(ids, 0)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=row_schema(INPUTS))


def to_fixed_binary(values):
    data = pa.py_buffer(values.tobytes())
    return pa.Array.from_buffers(pa.binary(values.shape[1]), values.shape[0], [None, data])


def make_full_partition(settings=SETTINGS):
    """Make a full partition of two classes; a third class is ten times as large."""
    plan = make_test_plan([PARTIAL_SUFFIX, PARTIAL_SUFFIX, 10 * PARTIAL_SUFFIX], settings)
    small = np.flatnonzero(plan.counts == PARTIAL_SUFFIX)
    return plan, make_rows(np.repeat(small, PARTIAL_SUFFIX), plan)


def partition_sizes(plan):
    """Return partition sizes; those before the first partition of a large class do not matter."""
    partitions = np.arange(plan.partitions.num_partitions, dtype=np.uint64)
    return partitions, np.full(partitions.size, PARTIAL_SUFFIX)


def growth_of_partitioning():
    plan = make_test_plan([5] * (MAX_ROWS // 5))
    rows = make_rows(np.random.default_rng(0).permutation(np.arange(MAX_ROWS // 5 * 5) // 5), plan)
    return measure_memory_growth(lambda: partition_rows(concat_batches([rows], rows.schema), plan))


def growth_of_slot_assignment():
    """Each row has 20 slots: 10 repeats in each of 2 rounds."""
    plan, rows = make_full_partition()

    def assign():
        for _ in assign_partition_slots((0, [rows]), plan, partition_sizes(plan), INPUTS):
            pass

    return measure_memory_growth(assign)


def growth_of_writing():
    """Write a shard of one complete partition, each row once."""
    settings = PairsConfig(sampling="natural", rounds=1, num_shards=1)
    plan, rows = make_full_partition(settings)
    routed = [
        batch
        for _, batch in assign_partition_slots((0, [rows]), plan, partition_sizes(plan), INPUTS)
    ]

    def write():
        shard = concat_batches(routed, routed_schema(INPUTS))
        with tempfile.TemporaryDirectory() as folder:
            write_shard(make_shard_tables(shard, plan, settings, INPUTS), 0, 1, Path(folder))

    return measure_memory_growth(write)


@pytest.mark.parametrize(
    "step", [growth_of_partitioning, growth_of_slot_assignment, growth_of_writing]
)
def test_a_step_needs_less_than_three_partitions(step, capsys):
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
        peak = process.submit(step).result()
    with capsys.disabled():
        print(f"\n{step.__name__}: {peak >> 20} MB")
    assert peak < 3 * PARTITION_BYTES
