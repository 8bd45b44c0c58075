"""PairGen where classes are as unequal, as many or as small as can be: what it writes and holds.

The data go through Beam's job service to a worker that is a process of its own.
"""

import dataclasses
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from million import INPUTS, OFFSET, class_keys_of, ids_of, numbers_of, write_examples

from diptych.components.pair_gen.component import make_all
from diptych.components.pair_gen.hashing import hash_ids
from diptych.components.pair_gen.plan import PARTITION_BYTES, SHARD_BYTES, Plan, make_plan
from diptych.components.pair_gen.rows import row_bytes
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.shards import Manifest, fixed_binary_to_numpy, shard_name

ONE_CLASS = [990_000] + [10] * 1_000
SMALL_CLASSES = [5] * 200_000
SINGLES = [50_000] + [1] * 200_000
CASES = {
    "99 % in one class, natural": (ONE_CLASS, "train", "natural"),
    "99 % in one class, oversample": (ONE_CLASS, "train", "oversample"),
    "200,000 classes of 5, natural": (SMALL_CLASSES, "train", "natural"),
    "one example per class but one, natural": (SINGLES, "test", "natural"),
}
HELD = 4 * PARTITION_BYTES  # a step holds less than three, see test_memory, and maps its input
CLASS_BYTES = 2000  # to sum, plan, send and keep a class; measured, up to 1,200


@dataclasses.dataclass
class Made:
    name: str
    sizes: np.ndarray
    plan: Plan
    manifest: Manifest
    example: np.ndarray  # of all shards, one after the other
    kind: np.ndarray
    batch: np.ndarray
    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    shard_bytes: list[int]
    peak: int
    seconds: float


@pytest.fixture(scope="session")
def run(portable_beam, tmp_path_factory):
    def make(name, sizes, split, policy):
        folder = tmp_path_factory.mktemp("skew")
        paths = write_examples(folder / "in", sizes)
        settings = Pairs(policy=policy, evaluation_policy=policy, rounds=1, evaluation_rounds=2)
        started = time.monotonic()
        with portable_beam.watched() as peaks:
            pipeline, out = portable_beam.pipeline(), folder / "out"
            make_all(pipeline, {split: paths}, out, folder / "balance", settings, INPUTS)
        seconds = time.monotonic() - started
        keys = class_keys_of(len(sizes))
        order = np.argsort(keys)
        plan = make_plan(split, keys[order], np.array(sizes)[order], settings, INPUTS)
        (peak,) = peaks.values()
        tables = read(folder / "out" / f"Split-{split}")
        return Made(name, np.array(sizes), plan, *tables, peak, seconds)

    return make


def read(folder):
    manifest = Manifest.read(folder)
    columns, sizes, placed = [], [], 0
    for shard in range(manifest.num_shards):
        path = folder / shard_name("examples", shard, manifest.num_shards)
        table = pa.ipc.open_file(path).read_all()
        example = numbers_of(fixed_binary_to_numpy(table["id"].combine_chunks(), 16))
        x = fixed_binary_to_numpy(table["x"].combine_chunks(), 64)
        assert (x == (example % 251)[:, None]).all()
        pairs = pq.read_table(folder / shard_name("pairs", shard, manifest.num_shards))
        left, right, same = (pairs[name].to_numpy() for name in ("left", "right", "same"))
        kind, batch = (table[name].to_numpy() for name in ("class", "batch"))
        columns.append((example, kind - OFFSET, batch, left + placed, right + placed, same == 1))
        placed += len(example)
        sizes.append(path.stat().st_size)
    parts = (np.concatenate(part) for part in zip(*columns, strict=True))
    return manifest, *parts, sizes


@pytest.fixture(scope="module")
def base(run):
    """Memory of a worker that has next to nothing to do."""
    return run("", [50, 50], "train", "natural").peak


@pytest.fixture(scope="module", params=list(CASES))
def made(request, run):
    return run(request.param, *CASES[request.param])


def test_a_worker_holds_no_more_than_the_settings_say(made, base, capsys):
    partitions = rows_per_partition(made)
    with capsys.disabled():
        print(
            f"\n{made.name}: {made.seconds:.0f} s, worker {made.peak >> 20} MB "
            f"({base >> 20} MB idle), {partitions.size} partitions of at most {partitions.max():,} "
            f"rows, {made.manifest.num_shards} shards of at most "
            f"{max(made.shard_bytes) / 2**20:.0f} MB"
        )
    assert made.peak < base + HELD + CLASS_BYTES * made.sizes.size


def test_no_partition_is_larger_than_its_cap(made):
    assert rows_per_partition(made).max() <= PARTITION_BYTES // row_bytes(INPUTS)


def rows_per_partition(made):
    classes = made.plan.classes_of(np.repeat(class_keys_of(made.sizes.size), made.sizes))
    hashes = hash_ids(ids_of(np.arange(classes.size)), 0)
    return np.bincount(made.plan.partitions_of(classes, hashes))


def test_shards_are_of_one_size_and_small_enough_for_a_worker(made):
    assert max(made.shard_bytes) < 1.05 * np.mean(made.shard_bytes)
    assert max(made.shard_bytes) < SHARD_BYTES


def test_every_example_is_used(made):
    uses = np.bincount(made.example, minlength=made.sizes.sum())
    assert uses.min() >= made.plan.layout.rounds
    assert (np.repeat(np.arange(made.sizes.size), made.sizes)[made.example] == made.kind).all()


def test_every_batch_has_as_many_same_as_different_pairs(made):
    alike, apart = (
        np.bincount(made.batch[made.left[chosen]], minlength=made.manifest.num_batches)
        for chosen in (made.same, ~made.same)
    )
    assert (alike == apart).all()
    assert alike.sum() == made.manifest.num_same > 0
    assert (made.batch[made.left] == made.batch[made.right]).all()


def test_pairs_are_what_they_say_and_come_once(made):
    assert ((made.kind[made.left] == made.kind[made.right]) == made.same).all()
    assert (made.example[made.left] != made.example[made.right]).all()
    low, high = np.minimum(made.left, made.right), np.maximum(made.left, made.right)
    assert np.unique(low * made.batch.size + high).size == low.size
