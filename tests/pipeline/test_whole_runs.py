"""Each kind of data, from raw files to a pushed model that takes raw inputs."""

import json
import subprocess
import sys
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image, ImageDraw

from diptych.pipeline.run import run_pipeline

DIPTYCH = [str(Path(sys.executable).with_name("diptych"))]
QUICK = {
    "split": {"train": 0.5, "calibration": 0.25, "test": 0.25},
    "pairs": {"classes_per_batch": 3, "rounds": 1, "num_shards": 4},
    "model": {"embedding_size": 8},
    "train": {"num_workers": 0, "epochs": 12, "batches_per_step": 1, "learning_rate": 0.003},
    "evaluate": {"min_accuracy": 0.7, "bootstrap": 100},
}


def _config(folder, data, **sections):
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"name": "toy", "data": data, **QUICK, **sections}))
    return path


def _run(config, root):
    return subprocess.run(
        [*DIPTYCH, "run", str(config), "--root", str(root)],
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


@pytest.fixture
def run_here(capfd):
    """The same in this process, where TFX is imported once for all tests."""

    def run(config, root, *settings):
        code = run_pipeline(config, settings, root)
        out, err = capfd.readouterr()
        return subprocess.CompletedProcess(["run"], code, out, err)

    return run


def _pushed(done, root):
    assert done.returncode == 0, done.stdout + done.stderr
    versions = [path for path in (root / "serving").iterdir() if path.name.isdigit()]
    assert len(versions) == 1
    assert [path.name for path in (root / "serving").iterdir()] == [versions[0].name]
    return versions[0]


def _in_fresh_process(model, code):
    """Runs code that knows only TensorFlow and the model, as a server would; it prints JSON."""
    program = (
        "import json, sys, tensorflow as tf\nmodel = tf.saved_model.load(sys.argv[1])\n" + code
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(model)],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout)


def _bar(generator, horizontal):
    """A bright bar at a random place on a dark square."""
    image = Image.new("L", (20, 20), 20)
    at = int(generator.integers(2, 14))
    box = (0, at, 19, at + 4) if horizontal else (at, 0, at + 4, 19)
    ImageDraw.Draw(image).rectangle(box, fill=int(generator.integers(150, 255)))
    return image


def _cross(generator):
    image = Image.new("L", (20, 20), 20)
    at = int(generator.integers(2, 14))
    ImageDraw.Draw(image).rectangle((0, at, 19, at + 4), fill=220)
    ImageDraw.Draw(image).rectangle((at, 0, at + 4, 19), fill=220)
    return image


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(7)
    kinds = {
        "bars/lying": (lambda: _bar(generator, True), "png"),
        "bars/standing": (lambda: _bar(generator, False), "bmp"),
        "cross": (lambda: _cross(generator), "gif"),
    }
    for label, (draw, ending) in kinds.items():
        (folder / "data" / label).mkdir(parents=True)
        for number in range(48):
            draw().save(folder / "data" / label / f"{number}.{ending}")
    return folder


@pytest.fixture(scope="module")
def image_run(pictures):
    data = {"kind": "images", "path": "data", "size": [16, 16], "channels": 1}
    config = _config(pictures, data, train={**QUICK["train"], "num_workers": 1})
    return config, pictures / "root", _run(config, pictures / "root")


def test_images_on_ray_to_a_model_that_compares_raw_pictures(image_run, pictures):
    _, root, done = image_run
    model = _pushed(done, root)
    names = [
        str(pictures / "data" / name)
        for name in ("bars/lying/1.png", "bars/lying/2.png", "cross/3.gif")
    ]
    answer = _in_fresh_process(
        model,
        f"""
a, b, c = (tf.constant([open(name, "rb").read()]) for name in {names!r})
out = model.signatures["compare"](left=tf.concat([a, a, a], 0), right=tf.concat([a, b, c], 0))
embedding = model.signatures["embed"](image=tf.concat([a, b], 0))["embedding"]
print(json.dumps({{key: value.numpy().tolist() for key, value in out.items()}}
      | {{"length": tf.norm(embedding, axis=1).numpy().tolist(), "shape": list(embedding.shape)}}))
""",
    )
    assert answer["distance"][0] < 1e-3
    assert answer["distance"][1] < answer["distance"][2]
    threshold = answer["threshold"][0]
    assert answer["same"] == [distance <= threshold for distance in answer["distance"]]
    assert answer["shape"] == [2, 8]
    assert answer["length"] == pytest.approx([1, 1], abs=1e-4)


def test_the_console_shows_steps_and_summary_and_no_noise(image_run):
    _, root, done = image_run
    for word in ("ExampleGen", "Transform", "Trainer", "triplets", "calibrated threshold"):
        assert word in done.stdout
    for word in ("ROC AUC", "blessed", "95 % interval", str(root / "serving"), "report.md"):
        assert word in done.stdout
    assert done.stderr == ""
    for noise in ("WARNING", "INFO", "oneDNN", "Traceback"):
        assert noise not in done.stdout
    assert len(done.stdout.splitlines()) < 40


def test_the_threshold_is_chosen_on_calibration_and_reported_on_test(image_run):
    _, root, _ = image_run
    (file,) = root.glob("artifacts/Evaluator/evaluation/*/evaluation.json")
    figures = json.loads(file.read_text())
    low, high = figures["calibrated"]["interval"]
    assert low <= figures["calibrated"]["accuracy"] <= high
    assert figures["fixed"]["threshold"] == 0.5
    assert sum(figures["calibrated"]["confusion"].values()) == figures["pairs"]
    (card,) = root.glob("serving/*/assets.extra/diptych.json")
    assert json.loads(card.read_text())["threshold"] == figures["calibrated"]["threshold"]


def test_curves_are_kept_as_json_and_as_tensorboard_events(image_run):
    _, root, _ = image_run
    (curves,) = root.glob("artifacts/Trainer/training_log/*/curves.json")
    assert json.loads(curves.read_text())["epochs"][0]["epoch"] == 1
    assert list(curves.parent.glob("tensorboard/events.out.tfevents.*"))


def test_a_second_run_is_served_from_the_cache_and_says_so(image_run, run_here):
    config, root, first = image_run
    _pushed(first, root)
    again = run_here(config, root)
    _pushed(again, root)
    assert "Nothing has changed: all from the cache" in again.stdout
    assert again.stdout.count("unchanged, from the cache") == 11


def test_a_changed_setting_runs_what_depends_on_it_and_compares_with_the_blessed(
    image_run, run_here
):
    config, root, first = image_run
    _pushed(first, root)
    bars = ("evaluate.max_drop=0", "evaluate.min_accuracy=1")
    worse = run_here(config, root, "train.num_workers=0", "train.epochs=1", *bars)
    assert worse.returncode == 0, worse.stderr
    assert "not blessed: accuracy" in worse.stdout
    assert "the model blessed before" in worse.stdout
    assert "Model         not pushed" in worse.stdout
    assert "PairGen" in worse.stdout.split("Trainer")[0]
    assert worse.stdout.split("Trainer")[0].count("from the cache") == 8
    _pushed(worse, root)


def test_confusable_pairs_are_made_with_the_blessed_model(image_run, run_here):
    config, root, first = image_run
    _pushed(first, root)
    bars = ("evaluate.max_drop=0", "evaluate.min_accuracy=1")
    quick = ("train.num_workers=0", "train.epochs=1")
    done = run_here(config, root, "pairs.difficulty=confusable", *quick, *bars)
    assert done.returncode == 0, done.stderr
    assert "3 classes placed by the blessed model" in done.stdout
    assert "Difficulty    confusable" in done.stdout
    before, pair_gen = done.stdout.split("PairGen")
    assert before.count("from the cache") == 7
    assert "from the cache" not in pair_gen


def _blobs(rows, seed):
    """Three classes of unequal size, five numbers each."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(3, rows, p=[0.6, 0.3, 0.1])
    centres = np.random.default_rng(0).normal(size=(3, 5)) * 4
    return (centres[labels] + generator.normal(size=(rows, 5))).astype(np.float32), labels


_COMPARE = """
left, right = tf.constant({left}, tf.float32), tf.constant({right}, tf.float32)
out = model.signatures["compare"](left=left, right=right)
print(json.dumps(out["same"].numpy().tolist()))
"""


def _same(model, left, right):
    code = _COMPARE.format(left=left.tolist(), right=right.tolist())
    return _in_fresh_process(model, code)


def test_a_table_and_an_imported_schema_whose_anomalies_stop_the_run_or_warn(tmp_path, run_here):
    x, labels = _blobs(400, seed=1)
    table = pd.DataFrame(x, columns=list("abcde"))
    table.insert(0, "species", np.array(["ant", "bee", "cat"])[labels])
    table.to_csv(tmp_path / "data.csv", index=False)
    _write_schema(tmp_path / "schema.pbtxt", numbers="abcde", bounded="c")
    config = _config(
        tmp_path,
        {"kind": "table", "path": "data.csv", "label": "species"},
        validation={"schema_file": "schema.pbtxt"},
    )
    stopped = run_here(config, tmp_path / "root")
    _fails(stopped, "do not fit the schema", "train split, c: Unexpectedly high", "warn")

    warned = run_here(config, tmp_path / "root", "validation.anomalies=warn")
    model = _pushed(warned, tmp_path / "root")
    ant, bee = x[labels == 0], x[labels == 1]
    told = _same(
        model, np.concatenate([ant[:20], ant[:20]]), np.concatenate([ant[20:40], bee[:20]])
    )
    assert np.mean(told[:20]) > 0.7
    assert np.mean(told[20:]) < 0.3


def _write_schema(path, numbers, bounded):
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx.utils import io_utils

    schema = schema_pb2.Schema()
    kinds = dict.fromkeys(numbers, schema_pb2.FLOAT)
    for name, kind in {
        **kinds,
        **dict.fromkeys(("label", "id", "source"), schema_pb2.BYTES),
    }.items():
        feature = schema.feature.add(name=name, type=kind)
        feature.presence.min_fraction = 1
        feature.shape.dim.add(size=1)
        if name == bounded:
            feature.float_domain.max = 0.5
    io_utils.write_pbtxt_file(str(path), schema)


def test_a_parquet_table_with_a_list_column_and_classes_unseen_in_training(tmp_path, run_here):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 12, 600)
    x = generator.normal(size=(12, 5))[labels] * 4 + generator.normal(size=(600, 5))
    pd.DataFrame({"label": labels, "embedding": x.tolist()}).to_parquet(tmp_path / "data.parquet")
    config = _config(
        tmp_path,
        {"kind": "table", "path": "data.parquet", "label": "label", "columns": "embedding"},
        split={"by": "class", "train": 0.5, "calibration": 0.25, "test": 0.25, "seed": 8},
        evaluate={"min_accuracy": 0.5, "bootstrap": 100},
    )
    root = tmp_path / "root"
    _pushed(run_here(config, root), root)
    (file,) = root.glob("artifacts/Evaluator/evaluation/*/evaluation.json")
    tested = {row["label"] for row in json.loads(file.read_text())["classes"]}
    (vocabulary,) = root.glob("artifacts/Transform/transform_graph/*/transform_fn/assets/classes")
    assert tested
    assert not tested & set(vocabulary.read_text().split())


def test_a_table_that_is_paired_already(tmp_path, run_here):
    x, labels = _blobs(1200, seed=2)
    left, right = x[:600], x[600:]
    table = pd.DataFrame(
        np.concatenate([left, right], axis=1), columns=[f"v{i}" for i in range(10)]
    )
    table["class"] = (labels[:600] == labels[600:]).astype(int)
    table.to_parquet(tmp_path / "data.parquet")
    data = {"kind": "pairs", "path": "data.parquet", "same": "class", "left": 5, "right": 5}
    config = _config(tmp_path, data, evaluate={"min_accuracy": 0.6, "bootstrap": 100})
    model = _pushed(run_here(config, tmp_path / "root"), tmp_path / "root")
    told = _same(model, left, right)
    assert np.mean(np.array(told) == (table["class"] == 1)) > 0.7


def test_tfrecords_and_an_encoder_of_the_users_own(tmp_path, run_here, monkeypatch):
    import tensorflow as tf

    x, labels = _blobs(400, seed=3)
    with tf.io.TFRecordWriter(str(tmp_path / "data.tfrecord.gz"), "GZIP") as writer:
        for vector, label in zip(x, labels, strict=True):
            features = {
                "v": tf.train.Feature(float_list=tf.train.FloatList(value=vector)),
                "y": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    data = {"kind": "tfrecord", "path": "data.tfrecord.gz", "label": "y", "vector": "v"}
    config = _config(
        *(tmp_path, data),
        model={"encoder": "own_encoder:build", "embedding_size": 3},
        pairs={**QUICK["pairs"], "difficulty": "confusable", "classes_per_batch": 5},
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "")
    absent = run_here(config, tmp_path / "root")
    _fails(absent, "model.encoder own_encoder:build: there is no module own_encoder")
    assert not (tmp_path / "root" / "artifacts").exists()

    (tmp_path / "own_encoder.py").write_text(
        "import keras\n\n\ndef build(shape, embedding_size):\n"
        "    return keras.Sequential([keras.Input(shape), keras.layers.Dense(embedding_size)])\n"
    )
    done = run_here(config, tmp_path / "root")
    assert "Difficulty    random: no model is blessed yet" in done.stdout
    model = _pushed(done, tmp_path / "root")
    assert "pairs.classes_per_batch is 5, but there are 3 classes: batches hold" in done.stdout
    (card,) = model.glob("assets.extra/diptych.json")
    assert json.loads(card.read_text())["embedding_size"] == 3


def _fails(done, *words):
    assert done.returncode == 1
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    for word in words:
        assert word in line
    return Path(done.stderr.splitlines()[-1].removeprefix("Log: "))


def test_one_class_only_stops_before_anything_starts(tmp_path):
    (tmp_path / "data" / "only").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "data" / "only" / "1.png")
    config = _config(tmp_path, {"kind": "images", "path": "data"})
    log = _fails(_run(config, tmp_path / "root"), "At least 2 classes", "only")
    assert log.is_file()
    assert not (tmp_path / "root" / "artifacts").exists()


def test_a_root_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    config = _config(tmp_path, {"kind": "images", "path": "data"})
    done = _run(config, tmp_path / "file" / "root")
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: Cannot write into the root {tmp_path / 'file' / 'root'}: Not a directory.\n"
    )


def test_too_many_rejected_rows_stop_the_run_with_the_reason_and_the_log(tmp_path, run_here):
    x, labels = _blobs(100, seed=1)
    table = pd.DataFrame(x, columns=list("abcde"))
    table["label"] = labels
    table.loc[:9, "c"] = np.nan
    table.to_csv(tmp_path / "data.csv", index=False)
    config = _config(tmp_path, {"kind": "table", "path": "data.csv", "label": "label"})
    failed = run_here(config, tmp_path / "root")
    log = _fails(failed, "10 of 100", "column 'c' has no value", "max_rejected")
    assert failed.stdout.splitlines()[-1].split() == ["ExampleGen", ANY, "s", "failed"]
    assert "DataError" in log.read_text()
