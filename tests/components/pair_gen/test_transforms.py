import collections
import hashlib

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from diptych.components.pair_gen import partition, plan, transforms
from diptych.components.pair_gen import read_examples as reading
from diptych.components.pair_gen.transforms import MakePairs
from diptych.schemas.balance import SplitBalance
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.input_spec import Inputs
from diptych.schemas.shards import Manifest, read_split_pairs, shard_name

INPUTS = Inputs(kind="image", size=(3, 2), channels=1)
SETTINGS = Pairs(classes_per_batch=4, num_shards=3, rounds=2, policy="natural")
SIZES = [400, 90, 30, 7, 4, 2, 1]


def examples():
    for number, size in enumerate(SIZES):
        for place in range(size):
            digest = hashlib.blake2b(b"%d %d" % (number, place), digest_size=16)
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


def test_order_files_batches_and_partitions_change_no_byte(
    made, tmp_path, write_records, monkeypatch
):
    monkeypatch.setattr(plan, "PARTITION_BYTES", 50 * 134)  # of 25 to 50 rows
    monkeypatch.setattr(reading, "_MAX_BATCH_ROWS", 17)
    monkeypatch.setattr(transforms, "_BUFFER_BYTES", 3000)
    monkeypatch.setattr(partition, "_PLACES_AT_ONCE", 20)
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
    assert sorted(partitions.ranges.tolist()) == [1, 1, 1, 1, 2, 4, 16]


def test_examples_keep_what_they_hold(made):
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


def test_batches_are_dealt_to_shards_in_turn_and_pairs_stay_inside(made):
    for shard, (rows, *drawn) in enumerate(
        zip(*(read(made[0], name) for name in ("examples", "pairs", "triplets")), strict=True)
    ):
        batch = rows["batch"].to_numpy()
        assert (np.diff(batch) >= 0).all()
        assert (batch % SETTINGS.num_shards == shard).all()
        for table in drawn:
            for side in table.column_names[1:3]:
                assert (batch[table[side].to_numpy()] == table["batch"].to_numpy()).all()


def test_same_says_whether_labels_are_equal_and_ids_never_are(made):
    pairs = read_split_pairs(made[0])
    alike = pairs.labels[pairs.left] == pairs.labels[pairs.right]
    assert (alike == (pairs.same == 1)).all()
    assert (pairs.left != pairs.right).all()


def test_manifest_counts_what_the_files_hold(made):
    manifest = Manifest.read(made[0])
    tables = {name: read(made[0], name) for name in ("examples", "pairs", "triplets")}
    same = sum(int(table["same"].to_numpy().sum()) for table in tables["pairs"])
    batches = tuple(len(table["batch"].unique()) for table in tables["examples"])
    assert manifest.num_examples == sum(SIZES)
    assert manifest.num_classes == len(SIZES)
    assert manifest.num_singletons == 1
    assert manifest.num_placed == sum(table.num_rows for table in tables["examples"])
    assert manifest.num_same == manifest.num_different == same
    assert manifest.num_triplets == sum(table.num_rows for table in tables["triplets"])
    assert manifest.batches_per_shard == batches
    assert manifest.num_batches == sum(batches)


def test_nothing_is_left_of_what_steps_hand_on(made):
    names = {path.name.partition("-")[0] for path in made[0].iterdir()}
    assert names == {"examples", "pairs", "triplets", "manifest.json"}


def test_shards_that_would_be_too_large_for_a_worker_become_more(made, tmp_path, monkeypatch):
    monkeypatch.setattr(plan, "SHARD_BYTES", 100 * 134)  # of 1,072 rows placed
    files = run([str(made[0].parent / "in" / "all.gz")], tmp_path / "out")
    manifest = Manifest.read(tmp_path / "out")
    assert manifest.num_shards == 4 * SETTINGS.num_shards
    assert len(files) == 3 * 12 + 2  # the manifest, and the balance
    assert manifest.num_same == Manifest.read(made[0]).num_same


def test_the_balance_says_of_the_files_what_a_count_of_each_row_says(made):
    report = SplitBalance.read(made[0].with_name("balance"), "train")
    manifest = Manifest.read(made[0])
    sizes = {b"class %d" % number: size for number, size in enumerate(SIZES)}
    pairs, weights = dict.fromkeys(sizes, 0), dict.fromkeys(sizes, 0.0)
    used, places = set(), collections.Counter()
    for table, drawn in zip(read(made[0], "examples"), read(made[0], "pairs"), strict=True):
        rows = table.to_pylist()
        for row in rows:
            number = row["batch"] // (manifest.num_batches // SETTINGS.rounds)
            places[row["id"], number] += 1
        for pair in drawn.to_pylist():
            sides = [rows[pair["left"]], rows[pair["right"]]]
            used |= {side["id"] for side in sides}
            for label in {side["label"] for side in sides}:
                pairs[label] += 1
                weights[label] += pair["weight"]
    assert report.repeats_max == max(places.values()) == 2
    assert report.repeats_mean == sum(places.values()) / (2 * sum(SIZES))
    assert report.coverage == len(used) / sum(SIZES)
    assert report.num_uncovered == sum(SIZES) - len(used)
    assert (report.num_same, report.num_different) == (manifest.num_same, manifest.num_different)
    assert report.classes.model_dump() == {
        "num_classes": 7,
        "num_singletons": 1,
        "num_uncovered": sum(amount == 0 for amount in pairs.values()),
        "examples": {"min": 1, "median": 7, "max": 400},
        "pairs": spread(pairs.values()),
        "weight": pytest.approx(spread(weights.values())),
    }


def spread(amounts):
    amounts = sorted(amounts)
    return {"min": amounts[0], "median": amounts[3], "max": amounts[6]}
