import collections
import hashlib

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from diptych.components.pair_gen import partition, plan, read_examples, transforms
from diptych.components.pair_gen.transforms import MakePairs
from diptych.schemas.balance import SplitBalance
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.shards import SplitManifest, read_split_pairs, shard_name

INPUTS = InputSpec(kind="image", size=(3, 2), channels=1)
SETTINGS = PairsConfig(classes_per_batch=4, num_shards=3, rounds=2, sampling="natural")
SIZES = [400, 90, 30, 7, 4, 2, 1]


def examples():
    for number, size in enumerate(SIZES):
        for index in range(size):
            digest = hashlib.blake2b(b"%d %d" % (number, index), digest_size=16)
            yield {
                "id": [digest.hexdigest().encode()],
                "label": [b"class %d" % number],
                "class": [number],
                "x": [digest.digest()[:6]],
            }


def run(paths, folder):
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        balance = str(folder.with_name("balance"))
        pipeline | beam.Create(paths) | MakePairs("train", str(folder), SETTINGS, INPUTS, balance)
    written = [*folder.iterdir(), *folder.with_name("balance").iterdir()]
    return {path.name: path.read_bytes() for path in written}


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_records):
    folder = tmp_path_factory.mktemp("made")
    path = write_records(folder / "in" / "all.gz", examples())
    return folder / "out", run([path], folder / "out")


def read(folder, table):
    tables = []
    for shard in range(SETTINGS.num_shards):
        path = folder / shard_name(table, shard, SETTINGS.num_shards)
        if table == "examples":
            reader = pa.ipc.open_file(path)
            assert reader.num_record_batches == 1
            tables.append(reader.read_all())
        else:
            tables.append(pq.read_table(path))
    return tables


def test_order_files_batches_and_partitions_do_not_affect_the_output(
    made, tmp_path, write_records, monkeypatch
):
    monkeypatch.setattr(plan, "PARTITION_BYTES", 50 * 134)  # 25 to 50 rows
    monkeypatch.setattr(read_examples, "_MAX_BATCH_ROWS", 17)
    monkeypatch.setattr(transforms, "_BUFFER_BYTES", 3000)
    monkeypatch.setattr(partition, "_SLOTS_PER_BLOCK", 20)
    shuffled = list(examples())
    np.random.default_rng(1).shuffle(shuffled)
    paths = [
        write_records(tmp_path / "in" / f"{number}{ending}", shuffled[number::3])
        for number, ending in enumerate(["", ".gz", ""])
    ]
    made_partitions = []
    make = plan.make_partitions
    monkeypatch.setattr(
        plan, "make_partitions", lambda *args: made_partitions.append(make(*args)) or make(*args)
    )
    assert run(paths, tmp_path / "out") == made[1]
    (partitions,) = made_partitions
    assert sorted(partitions.num_ranges.tolist()) == [1, 1, 1, 1, 2, 4, 16]


def test_examples_keep_their_content(made):
    originals = {bytes.fromhex(row["id"][0].decode()): row for row in examples()}
    seen = set()
    for table in read(made[0], "examples"):
        for row in table.to_pylist():
            original = originals[row["id"]]
            assert [row["label"], row["class"], row["x"]] == [
                original[name][0] for name in ("label", "class", "x")
            ]
            seen.add(row["id"])
    assert len(seen) == sum(SIZES)


def test_batches_alternate_between_shards_and_contain_their_pairs(made):
    for shard, (rows, *sampled) in enumerate(
        zip(*(read(made[0], name) for name in ("examples", "pairs", "triplets")), strict=True)
    ):
        batch = rows["batch"].to_numpy()
        assert (np.diff(batch) >= 0).all()
        assert (batch % SETTINGS.num_shards == shard).all()
        for table in sampled:
            for side in table.column_names[1:3]:
                assert (batch[table[side].to_numpy()] == table["batch"].to_numpy()).all()


def test_same_equals_the_comparison_of_labels_and_no_pair_has_equal_ids(made):
    pairs = read_split_pairs(made[0])
    equal_labels = pairs.labels[pairs.left] == pairs.labels[pairs.right]
    assert (equal_labels == (pairs.same == 1)).all()
    assert (pairs.left != pairs.right).all()


def test_the_manifest_counts_the_content_of_the_files(made):
    manifest = SplitManifest.read(made[0])
    tables = {name: read(made[0], name) for name in ("examples", "pairs", "triplets")}
    same = sum(int(table["same"].to_numpy().sum()) for table in tables["pairs"])
    batches = tuple(len(table["batch"].unique()) for table in tables["examples"])
    assert manifest.num_examples == sum(SIZES)
    assert manifest.num_classes == len(SIZES)
    assert manifest.num_singletons == 1
    assert manifest.num_rows == sum(table.num_rows for table in tables["examples"])
    assert manifest.num_positive == manifest.num_negative == same
    assert manifest.num_triplets == sum(table.num_rows for table in tables["triplets"])
    assert manifest.batches_per_shard == batches
    assert manifest.num_batches == sum(batches)


def test_no_intermediate_files_remain(made):
    names = {path.name.partition("-")[0] for path in made[0].iterdir()}
    assert names == {"examples", "pairs", "triplets", "manifest.json"}


def test_the_number_of_shards_grows_with_their_size(made, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "SHARD_BYTES", 100 * 134)  # for 1,072 slots
    files = run([str(made[0].parent / "in" / "all.gz")], tmp_path / "out")
    manifest = SplitManifest.read(tmp_path / "out")
    assert manifest.num_shards == 4 * SETTINGS.num_shards
    assert len(files) == 3 * 12 + 2  # the manifest and the balance report
    assert manifest.num_positive == SplitManifest.read(made[0]).num_positive


def test_the_balance_report_equals_a_count_of_the_rows(made):
    report = SplitBalance.read(made[0].with_name("balance"), "train")
    manifest = SplitManifest.read(made[0])
    sizes = {b"class %d" % number: size for number, size in enumerate(SIZES)}
    pairs, weights = dict.fromkeys(sizes, 0), dict.fromkeys(sizes, 0.0)
    used, slot_counts = set(), collections.Counter()
    for table, sampled in zip(read(made[0], "examples"), read(made[0], "pairs"), strict=True):
        rows = table.to_pylist()
        for row in rows:
            number = row["batch"] // (manifest.num_batches // SETTINGS.rounds)
            slot_counts[row["id"], number] += 1
        for pair in sampled.to_pylist():
            sides = [rows[pair["left"]], rows[pair["right"]]]
            used |= {side["id"] for side in sides}
            for label in {side["label"] for side in sides}:
                pairs[label] += 1
                weights[label] += pair["weight"]
    assert report.repeats_max == max(slot_counts.values()) == 2
    assert report.repeats_mean == sum(slot_counts.values()) / (2 * sum(SIZES))
    assert report.coverage == len(used) / sum(SIZES)
    assert report.num_uncovered == sum(SIZES) - len(used)
    assert (report.num_positive, report.num_negative) == (
        manifest.num_positive,
        manifest.num_negative,
    )
    assert report.classes.model_dump() == {
        "num_classes": 7,
        "num_singletons": 1,
        "num_uncovered": sum(amount == 0 for amount in pairs.values()),
        "examples": {"min": 1, "median": 7, "max": 400},
        "pairs": spread(pairs.values()),
        "weight": pytest.approx(spread(weights.values())),
    }


def spread(quotas):
    quotas = sorted(quotas)
    return {"min": quotas[0], "median": quotas[3], "max": quotas[6]}
