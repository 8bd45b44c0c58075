"""What each step of PairGen holds in a worker, at its most, beyond the input it was given."""

import concurrent.futures
import multiprocessing
import tempfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from memory import growth
from million import INPUTS, class_keys_of, ids_of

from diptych.components.pair_gen.hashing import hash_ids
from diptych.components.pair_gen.partition import deal, place_partition
from diptych.components.pair_gen.plan import PARTITION_BYTES, make_plan
from diptych.components.pair_gen.rows import joined, row_bytes, row_schema
from diptych.components.pair_gen.shard import make_tables, placed_schema
from diptych.components.pair_gen.write_shards import write_shard
from diptych.schemas.config.pairs import Pairs

CAP = PARTITION_BYTES // row_bytes(INPUTS)
HALF = CAP // 2 - 1
SETTINGS = Pairs(policy="oversample", max_repeats=10, rounds=2)


def plan_of(sizes, settings=SETTINGS):
    keys = class_keys_of(len(sizes))
    order = np.argsort(keys)
    return make_plan("train", keys[order], np.array(sizes)[order], settings, INPUTS)


def rows_of(classes, plan):
    """Rows of some classes of the plan."""
    count = classes.size
    ids = ids_of(np.arange(count))
    columns = {
        "id": fixed(ids),
        "label": pa.array([b"%07d"] * count, pa.binary()),
        "class": pa.array(classes),
        "x": fixed(np.zeros((count, 64), np.uint8)),
        "key": pa.array(plan.keys[classes]),
        "hash": pa.array(hash_ids(ids, 0)),
    }
    return pa.RecordBatch.from_pydict(columns, schema=row_schema(INPUTS))


def fixed(values):
    data = pa.py_buffer(values.tobytes())
    return pa.Array.from_buffers(pa.binary(values.shape[1]), values.shape[0], [None, data])


def full_partition(settings=SETTINGS):
    """Two classes of half a partition each; a third one is ten times as large."""
    plan = plan_of([HALF, HALF, 10 * HALF], settings)
    small = np.flatnonzero(plan.counts == HALF)
    return plan, rows_of(np.repeat(small, HALF), plan)


def sizes_of(plan):
    """Of its partitions; those before the first one of a large class do not matter."""
    every = np.arange(plan.partitions.total, dtype=np.uint64)
    return every, np.full(every.size, HALF)


def growth_of_dealing():
    plan = plan_of([5] * (CAP // 5))
    rows = rows_of(np.random.default_rng(0).permutation(np.arange(CAP // 5 * 5) // 5), plan)
    return growth(lambda: deal(joined([rows], rows.schema), plan))


def growth_of_placing():
    """Each row has 20 places: 10 repeats in each of 2 rounds."""
    plan, rows = full_partition()

    def place():
        for _ in place_partition((0, [rows]), plan, sizes_of(plan), INPUTS):
            pass

    return growth(place)


def growth_of_writing():
    """A shard of a whole partition, each row in it once."""
    settings = Pairs(policy="natural", rounds=1, num_shards=1)
    plan, rows = full_partition(settings)
    placed = [batch for _, batch in place_partition((0, [rows]), plan, sizes_of(plan), INPUTS)]

    def write():
        shard = joined(placed, placed_schema(INPUTS))
        with tempfile.TemporaryDirectory() as folder:
            write_shard(make_tables(shard, plan, settings, INPUTS), 0, 1, Path(folder))

    return growth(write)


@pytest.mark.parametrize("step", [growth_of_dealing, growth_of_placing, growth_of_writing])
def test_a_step_holds_a_few_partitions(step, capsys):
    spawn = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=spawn) as process:
        held = process.submit(step).result()
    with capsys.disabled():
        print(f"\n{step.__name__}: {held >> 20} MB")
    assert held < 3 * PARTITION_BYTES
