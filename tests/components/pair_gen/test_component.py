import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tfx.types import artifact_utils, standard_artifacts

from diptych.components.pair_gen.component import PairGen, resolve_negatives
from diptych.schemas.artifacts import Balance, Centroids, PairSet
from diptych.schemas.balance import SplitBalance
from diptych.schemas.centroids import centroids_schema, write_centroids
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.shards import SPLITS, SplitManifest, inputs_to_numpy, shard_name

VECTOR = InputSpec(kind="vector", columns=(Column(name="a", width=3),))
PAIRED = VECTOR.model_copy(update={"right_columns": (Column(name="b", width=3),)})
SETTINGS = PairsConfig(num_shards=2, classes_per_batch=2, examples_per_class=2, evaluation_rounds=2)


def make_labelled(sizes, split):
    for class_index, size in enumerate(sizes):
        for index in range(size):
            number = 1000 * SPLITS.index(split) + 100 * class_index + index
            yield {
                "id": [b"%032x" % number],
                "label": [b"%d" % class_index],
                "class": [class_index],
                "x": [float(number), 0.5, -1.0],
            }


def make_given_pairs(same, different):
    for number in range(same + different):
        left, right = number, number + (1 if number < same else 3)
        yield {
            "id": [b"%032x" % (7000 + number)],
            "left_id": [b"%032x" % left],
            "right_id": [b"%032x" % right],
            "same": [int(number < same)],
            "left": [float(left)] * 3,
            "right": [float(right)] * 3,
        }


@pytest.fixture
def generate(tmp_path, write_records):
    def run(splits, inputs, settings=SETTINGS, centroids=None):
        examples, pairs, balance = standard_artifacts.Examples(), PairSet(), Balance()
        examples.uri, pairs.uri = str(tmp_path / "in"), str(tmp_path / "out")
        balance.uri = str(tmp_path / "balance")
        examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
        for name, rows in splits.items():
            write_records(tmp_path / "in" / f"Split-{name}" / "transformed-00000.gz", rows)
        PairGen.test_call(
            transformed_examples=examples,
            pairs=pairs,
            balance=balance,
            settings=settings.model_dump_json(),
            inputs=inputs.model_dump_json(),
            code_hash="",
            class_centroids=centroids,
            beam_pipeline=beam.Pipeline(runner=FnApiRunner()),
        )
        return pairs, balance

    return run


def test_three_splits_of_vectors_are_paired_within_themselves(generate, tmp_path):
    sizes = {"train": [5, 4, 3], "calibration": [3, 2], "test": [2, 2, 1]}
    pairs, balance = generate(
        {name: make_labelled(size, name) for name, size in sizes.items()}, VECTOR
    )
    manifests = [SplitManifest.read(tmp_path / "out" / f"Split-{name}") for name in SPLITS]
    assert pairs.get_int_custom_property("num_examples") == 22
    assert pairs.get_int_custom_property("num_classes") == 3
    for name in ("num_pairs", "num_batches", "num_triplets"):
        total = sum(getattr(manifest, name) for manifest in manifests)
        assert pairs.get_int_custom_property(name) == total > 0
    reports = [SplitBalance.read(tmp_path / "balance", name) for name in SPLITS]
    assert [report.split for report in reports] == list(SPLITS)
    assert [report.num_examples for report in reports] == [12, 5, 5]
    assert [report.classes.num_singletons for report in reports] == [0, 0, 1]
    assert [report.sampling for report in reports] == ["oversample", "natural", "natural"]
    assert balance.get_float_custom_property("coverage") == reports[0].coverage == 1
    for number, (name, manifest) in enumerate(zip(SPLITS, manifests, strict=True)):
        for shard in range(2):
            path = tmp_path / "out" / f"Split-{name}" / shard_name("examples", shard, 2)
            table = pa.ipc.open_file(path).read_all()
            x = inputs_to_numpy(table["x"].combine_chunks(), manifest.input)
            ids = [int(value.hex(), 16) for value in table["id"].to_pylist()]
            assert x[:, 0].tolist() == ids
            assert set(np.array(ids) // 1000) <= {number}


def test_given_pairs_are_kept(generate, tmp_path):
    rows = {
        "train": make_given_pairs(4, 12),
        "calibration": make_given_pairs(3, 3),
        "test": make_given_pairs(2, 5),
    }
    generate(rows, PAIRED)
    folder = tmp_path / "out" / "Split-train"
    manifest = SplitManifest.read(folder)
    assert manifest.num_positive == manifest.num_negative == 2 * 12
    assert manifest.num_examples == 19
    assert manifest.num_classes == 0
    report = SplitBalance.read(tmp_path / "balance", "train")
    assert (report.num_given_pairs, report.num_examples, report.classes) == (16, 19, None)
    assert (report.num_positive, report.num_negative) == (24, 24)
    assert report.num_distinct_positive == 4
    assert (report.repeats_mean, report.repeats_max) == (
        48 / 32,
        3,
    )  # the 4 positive pairs occur three times
    assert (report.coverage, report.num_uncovered) == (1, 0)
    for shard in range(2):
        table = pa.ipc.open_file(folder / shard_name("examples", shard, 2)).read_all()
        x = inputs_to_numpy(table["x"].combine_chunks(), manifest.input)[:, 0]
        assert x.tolist() == [int(value.hex(), 16) for value in table["id"].to_pylist()]
        assert set(table["class"].to_pylist()) <= {-1}
        pairs = pq.read_table(folder / shard_name("pairs", shard, 2))
        differences = x[pairs["right"].to_numpy()] - x[pairs["left"].to_numpy()]
        assert differences.tolist() == np.where(pairs["same"].to_numpy() == 1, 1, 3).tolist()


def make_centroids(folder, points, reason=""):
    """Make the artifact of ClassCentroids, with the labels of ``make_labelled``."""
    schema = centroids_schema(2)
    rows = [
        {"label": b"%d" % class_index, "examples": 4, "centroid": list(point)}
        for class_index, point in enumerate(points)
    ]
    write_centroids(folder, pa.Table.from_pylist(rows, schema))
    artifact = Centroids()
    artifact.uri = str(folder)
    artifact.set_int_custom_property("num_classes", len(rows))
    artifact.set_string_custom_property("reason", reason)
    return artifact


def test_similar_classes_share_batches_in_training_only(generate, tmp_path):
    settings = SETTINGS.model_copy(update={"classes_per_batch": 4, "negatives": "similar_classes"})
    # Class c is in cluster c % 4; the clusters are at the corners of a rectangle.
    corners = [(0, 0), (60000, 0), (0, 20000), (60000, 20000)]
    points = [
        (corners[class_index % 4][0] + class_index, corners[class_index % 4][1] - class_index)
        for class_index in range(16)
    ]
    similar = make_centroids(tmp_path / "centroids", points)
    splits = {name: make_labelled([8] * 16, name) for name in SPLITS}
    pairs, _ = generate(splits, VECTOR, settings, similar)
    assert pairs.get_string_custom_property("negatives") == "similar_classes"

    def share_of_one_or_two_clusters(split):
        clusters_of_batch = {}
        for shard in range(2):
            path = tmp_path / "out" / f"Split-{split}" / shard_name("examples", shard, 2)
            table = pa.ipc.open_file(path).read_all()
            for row in table.select(["batch", "label"]).to_pylist():
                clusters_of_batch.setdefault(row["batch"], set()).add(int(row["label"]) % 4)
        return np.mean([len(clusters) <= 2 for clusters in clusters_of_batch.values()])

    assert share_of_one_or_two_clusters("train") >= 0.5  # every other layer
    assert share_of_one_or_two_clusters("calibration") < 0.4
    assert share_of_one_or_two_clusters("test") < 0.4


def test_negatives_are_random_with_a_reason_without_centroids(tmp_path):
    none = make_centroids(tmp_path, [], reason="no model is blessed yet")
    assert resolve_negatives(none) == ("random: no model is blessed yet", None)
    assert resolve_negatives(None) == ("random", None)
    assert resolve_negatives(make_centroids(tmp_path, [(1, 2)])) == (
        "similar_classes",
        str(tmp_path),
    )


def test_a_split_without_pairs_raises_and_writes_nothing(generate, tmp_path):
    sizes = {"train": [3, 3], "calibration": [3, 3], "test": [1, 1]}
    message = r"^The test split needs.*larger fraction \(split\.test\).*split\.seed\.$"
    with pytest.raises(DataError, match=message):
        generate({name: make_labelled(size, name) for name, size in sizes.items()}, VECTOR)
    assert not list(tmp_path.glob("out/*")) + list(tmp_path.glob("balance/*"))


def test_a_split_without_files_raises(generate):
    with pytest.raises(DataError, match=r"test split has no files"):
        generate({name: make_labelled([3, 3], name) for name in SPLITS[:2]}, VECTOR)


def test_files_of_killed_workers_are_removed(generate, tmp_path):
    for name in ("Split-train/pairs-00000-of-00002.parquet.7-ab.part", "Split-test.spool/7.arrow"):
        (tmp_path / "out" / name).parent.mkdir(parents=True)
        (tmp_path / "out" / name).write_bytes(b"half")
    generate({name: make_labelled([3, 3], name) for name in SPLITS}, VECTOR)
    assert {path.name for path in (tmp_path / "out").iterdir()} == {f"Split-{s}" for s in SPLITS}
    endings = {path.suffix for path in (tmp_path / "out").glob("*/*")}
    assert endings == {".arrow", ".parquet", ".json"}
