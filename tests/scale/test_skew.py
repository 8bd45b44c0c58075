"""PairGen on extreme class sizes: its output and its memory.

The data pass through Beam's job service to a worker in a separate process.
"""

import dataclasses
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from million import INPUTS, OFFSET, ids_to_numbers, make_class_keys, make_ids, write_examples

from diptych.components.pair_gen.component import generate_pairs
from diptych.components.pair_gen.hashing import hash_ids
from diptych.components.pair_gen.plan import PARTITION_BYTES, SHARD_BYTES, Plan, make_plan
from diptych.components.pair_gen.rows import estimate_row_bytes
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.shards import SplitManifest, fixed_binary_to_numpy, shard_name

ONE_CLASS = [990_000] + [10] * 1_000
SMALL_CLASSES = [5] * 200_000
SINGLES = [50_000] + [1] * 200_000
CASES = {
    "99 % in one class, natural": (ONE_CLASS, "train", "natural"),
    "99 % in one class, oversample": (ONE_CLASS, "train", "oversample"),
    "200,000 classes of 5, natural": (SMALL_CLASSES, "train", "natural"),
    "one example per class except one class, natural": (SINGLES, "test", "natural"),
}
STEP_BYTES = (
    4 * PARTITION_BYTES
)  # a step needs less than three, see test_memory, and memory-maps its input
CLASS_BYTES = 2000  # for counts and plan of a class; up to 1,200 were measured


@dataclasses.dataclass
class Output:
    name: str
    sizes: np.ndarray
    plan: Plan
    manifest: SplitManifest
    example: np.ndarray  # concatenated over shards
    class_index: np.ndarray
    batch: np.ndarray
    left: np.ndarray
    right: np.ndarray
    same: np.ndarray
    shard_bytes: list[int]
    peak: int
    seconds: float


@pytest.fixture(scope="session")
def run(portable_beam, tmp_path_factory):
    def generate(name, sizes, split, sampling):
        folder = tmp_path_factory.mktemp("skew")
        paths = write_examples(folder / "in", sizes)
        settings = PairsConfig(
            sampling=sampling, evaluation_sampling=sampling, rounds=1, evaluation_rounds=2
        )
        started = time.monotonic()
        with portable_beam.watch_memory() as peaks:
            pipeline, out = portable_beam.pipeline(), folder / "out"
            generate_pairs(pipeline, {split: paths}, out, folder / "balance", settings, INPUTS)
        seconds = time.monotonic() - started
        keys = make_class_keys(len(sizes))
        order = np.argsort(keys)
        plan = make_plan(split, keys[order], np.array(sizes)[order], settings, INPUTS)
        (peak,) = peaks.values()
        tables = read(folder / "out" / f"Split-{split}")
        return Output(name, np.array(sizes), plan, *tables, peak, seconds)

    return generate


def read(folder):
    manifest = SplitManifest.read(folder)
    columns, sizes, num_rows = [], [], 0
    for shard in range(manifest.num_shards):
        path = folder / shard_name("examples", shard, manifest.num_shards)
        table = pa.ipc.open_file(path).read_all()
        example = ids_to_numbers(fixed_binary_to_numpy(table["id"].combine_chunks(), 16))
        x = fixed_binary_to_numpy(table["x"].combine_chunks(), 64)
        assert (x == (example % 251)[:, None]).all()
        pairs = pq.read_table(folder / shard_name("pairs", shard, manifest.num_shards))
        left, right, same = (pairs[name].to_numpy() for name in ("left", "right", "same"))
        class_index, batch = (table[name].to_numpy() for name in ("class", "batch"))
        columns.append(
            (example, class_index - OFFSET, batch, left + num_rows, right + num_rows, same == 1)
        )
        num_rows += len(example)
        sizes.append(path.stat().st_size)
    parts = (np.concatenate(part) for part in zip(*columns, strict=True))
    return manifest, *parts, sizes


@pytest.fixture(scope="module")
def idle_peak(run):
    """Peak memory of a worker with almost no data."""
    return run("", [50, 50], "train", "natural").peak


@pytest.fixture(scope="module", params=list(CASES))
def output(request, run):
    return run(request.param, *CASES[request.param])


def test_the_memory_of_a_worker_is_limited(output, idle_peak, capsys):
    partitions = rows_per_partition(output)
    with capsys.disabled():
        print(
            f"\n{output.name}: {output.seconds:.0f} s, worker {output.peak >> 20} MB "
            f"({idle_peak >> 20} MB idle), {partitions.size} partitions of at most "
            f"{partitions.max():,} rows, {output.manifest.num_shards} shards of at most "
            f"{max(output.shard_bytes) / 2**20:.0f} MB"
        )
    assert output.peak < idle_peak + STEP_BYTES + CLASS_BYTES * output.sizes.size


def test_no_partition_is_larger_than_the_limit(output):
    assert rows_per_partition(output).max() <= PARTITION_BYTES // estimate_row_bytes(INPUTS)


def rows_per_partition(output):
    classes = output.plan.find_classes(np.repeat(make_class_keys(output.sizes.size), output.sizes))
    hashes = hash_ids(make_ids(np.arange(classes.size)), 0)
    return np.bincount(output.plan.find_partitions(classes, hashes))


def test_shards_have_similar_sizes_that_fit_a_worker(output):
    assert max(output.shard_bytes) < 1.05 * np.mean(output.shard_bytes)
    assert max(output.shard_bytes) < SHARD_BYTES


def test_every_example_is_used(output):
    uses = np.bincount(output.example, minlength=output.sizes.sum())
    assert uses.min() >= output.plan.layout.rounds
    assert (
        np.repeat(np.arange(output.sizes.size), output.sizes)[output.example] == output.class_index
    ).all()


def test_every_batch_has_the_same_number_of_positive_and_negative_pairs(output):
    num_positive, num_negative = (
        np.bincount(output.batch[output.left[chosen]], minlength=output.manifest.num_batches)
        for chosen in (output.same, ~output.same)
    )
    assert (num_positive == num_negative).all()
    assert num_positive.sum() == output.manifest.num_positive > 0
    assert (output.batch[output.left] == output.batch[output.right]).all()


def test_pairs_are_labelled_correctly_and_distinct(output):
    assert (
        (output.class_index[output.left] == output.class_index[output.right]) == output.same
    ).all()
    assert (output.example[output.left] != output.example[output.right]).all()
    low, high = np.minimum(output.left, output.right), np.maximum(output.left, output.right)
    assert np.unique(low * output.batch.size + high).size == low.size
