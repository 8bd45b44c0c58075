"""Complete runs from images to a pushed model, and runs that fail."""

import json
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw
from pipeline_runs import (
    QUICK,
    assert_run_fails,
    blobs,
    pushed_version,
    run_in_fresh_process,
    run_in_subprocess,
    write_config,
)

from diptych.cli.main import main
from diptych.schemas.evaluation import EvaluationReport
from diptych.schemas.manifest import ModelManifest


def _bar(generator, horizontal):
    """Draw a bright bar at a random position on a dark square."""
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
        "bars/standing": (lambda: _bar(generator, False), "webp"),
        "cross": (lambda: _cross(generator), "jpg"),
    }
    for label, (draw, ending) in kinds.items():
        (folder / "data" / label).mkdir(parents=True)
        for number in range(48):
            draw().save(folder / "data" / label / f"{number}.{ending}")
    return folder


def run_command(command, root, *arguments):
    """Run a command for a pipeline root in this process, and return its output."""
    result = CliRunner().invoke(main, [command, "--root", str(root), *arguments])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture(scope="module")
def image_run(pictures):
    data = {"kind": "images", "path": "data", "size": [16, 16], "channels": 1}
    config = write_config(pictures, data, train={**QUICK["train"], "num_workers": 1})
    return config, pictures / "root", run_in_subprocess(config, pictures / "root")


def test_images_on_ray_to_a_model_that_compares_raw_pictures(image_run, pictures):
    _, root, result = image_run
    model = pushed_version(result, root)
    names = [
        str(pictures / "data" / name)
        for name in ("bars/lying/1.png", "bars/lying/2.png", "cross/3.jpg")
    ]
    answer = run_in_fresh_process(
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


def test_a_picture_that_a_phone_has_turned_is_the_same(image_run, pictures, tmp_path):
    _, root, result = image_run
    model = pushed_version(result, root)
    upright = pictures / "data" / "bars/lying/1.png"
    with Image.open(upright) as image:
        turned = image.transpose(Image.Transpose.ROTATE_90)
    tags = Image.Exif()
    tags[0x0112] = 6  # a viewer turns it by 90 degrees
    for kind, options in (("png", {}), ("webp", {"lossless": True}), ("tiff", {})):
        turned.save(tmp_path / f"phone.{kind}", exif=tags, **options)
        paths = [str(upright), str(tmp_path / f"phone.{kind}")]
        answer = CliRunner().invoke(main, ["compare", *paths, "--json", "--model", str(model)])
        assert answer.exit_code == 0, answer.output
        comparison = json.loads(answer.output)
        assert comparison["distance"] < 1e-3 and comparison["same"]


def test_tensorflow_serving_returns_the_same_embeddings(image_run, pictures):
    from tensorflow_server import FakeTensorFlowServing, encode_request, to_arrays

    _, root, result = image_run
    model = pushed_version(result, root)
    names = [str(pictures / "data" / name) for name in ("bars/lying/1.png", "cross/3.jpg")]
    expected = run_in_fresh_process(
        model,
        f"""
images = tf.constant([open(name, "rb").read() for name in {names!r}])
print(json.dumps(model.signatures["embed"](image=images)["embedding"].numpy().tolist()))
""",
    )
    images = np.array([Path(name).read_bytes() for name in names], object)
    found = to_arrays(FakeTensorFlowServing(model).predict(encode_request("", image=images)))
    np.testing.assert_allclose(found["embedding"], expected, atol=1e-5)


def test_the_console_shows_steps_and_summary_without_library_output(image_run):
    _, root, result = image_run
    for word in ("ExampleGen", "Transform", "Trainer", "triplets", "calibrated threshold"):
        assert word in result.stdout
    for word in ("ROC AUC", "blessed", "95 % interval", str(root / "serving"), "report.html"):
        assert word in result.stdout
    assert result.stderr == ""
    for noise in ("WARNING", "INFO", "oneDNN", "Traceback"):
        assert noise not in result.stdout
    lines = [line for line in result.stdout.splitlines() if not line.startswith("    epoch ")]
    assert len(lines) < 46


def test_the_pushed_folder_matches_its_manifest(image_run):
    _, root, result = image_run
    model = pushed_version(result, root)
    manifest = ModelManifest.read(model)
    manifest.verify(model)
    assert (manifest.name, str(manifest.version)) == ("toy", model.name)
    assert {"saved_model.pb", "fingerprint.pb", "assets.extra/diptych.json"} < set(manifest.files)
    assert manifest.configuration["data"]["size"] == [16, 16]
    card = json.loads((model / "assets.extra" / "diptych.json").read_text())
    assert manifest.threshold == card["threshold"]


def test_the_threshold_is_chosen_on_calibration_and_reported_on_test(image_run):
    _, root, _ = image_run
    (file,) = root.glob("artifacts/Evaluator/evaluation/*/evaluation.json")
    metrics = EvaluationReport.read(file.parent).pairs
    accuracy = metrics.calibrated.accuracy
    assert accuracy.low <= accuracy.value <= accuracy.high
    assert metrics.fixed.threshold == 0.5
    assert sum(metrics.calibrated.confusion.model_dump().values()) == metrics.pairs
    assert len(pq.read_table(file.with_name("pairs.parquet"))) == metrics.pairs
    (card,) = root.glob("serving/*/assets.extra/diptych.json")
    assert json.loads(card.read_text())["threshold"] == metrics.calibrated.threshold


def test_a_run_is_listed_with_its_folder_name_and_report(image_run):
    _, root, result = image_run
    (folder,) = (root / "runs").iterdir()
    (run,) = json.loads(run_command("runs", root, "--json"))
    assert (run["run"], run["state"], run["steps_ran"]) == (folder.name, "done", 11)
    assert run["version"] == pushed_version(result, root).name
    assert run["in_production"]
    assert run_command("report", root) == f"{folder / 'report.html'}\n"
    assert (
        run_command("report", root, "--out", str(root / "copy.html")) == f"{root / 'copy.html'}\n"
    )
    assert (root / "copy.html").read_text() == (folder / "report.html").read_text()
    page = (folder / "report.html").read_text()
    assert page.startswith("<!")
    assert folder.name in page


def test_the_manifest_has_the_metrics_of_the_evaluation_and_the_data(image_run):
    _, root, _ = image_run
    (file,) = root.glob("artifacts/Evaluator/evaluation/*/evaluation.json")
    metrics = EvaluationReport.read(file.parent).pairs
    (model,) = root.glob("serving/*")
    manifest = ModelManifest.read(model)
    assert manifest.metrics["accuracy"] == metrics.calibrated.accuracy.value
    assert manifest.metrics["roc_auc"] == metrics.roc_auc.value
    assert manifest.data["num_train"] > manifest.data["num_test"] >= metrics.examples
    assert len(manifest.data["fingerprint"]) == 32


def test_learning_curves_are_written_as_json_and_tensorboard_events(image_run):
    _, root, _ = image_run
    (curves,) = root.glob("artifacts/Trainer/training_log/*/curves.json")
    assert json.loads(curves.read_text())["epochs"][0]["epoch"] == 1
    assert list(curves.parent.glob("tensorboard/events.out.tfevents.*"))


def test_a_second_run_comes_from_the_cache(image_run, run_in_process):
    config, root, first = image_run
    pushed_version(first, root)
    again = run_in_process(config, root)
    pushed_version(again, root)
    assert "Nothing has changed: all from the cache" in again.stdout
    assert again.stdout.count("unchanged, from the cache") == 11
    first_run, second_run = json.loads(run_command("runs", root, "--json"))
    assert (second_run["state"], second_run["steps_cached"]) == ("unchanged", 11)
    assert second_run["version"] == first_run["version"]
    assert Path(second_run["report"]).parent.name == second_run["run"]


def test_a_report_that_cannot_be_built_does_not_undo_the_run(
    image_run, run_in_process, monkeypatch
):
    config, root, first = image_run
    pushed_version(first, root)

    def fault(run, path):
        raise ZeroDivisionError("in the report")

    monkeypatch.setattr("diptych.pipeline.report.build.write_report", fault)
    result = run_in_process(config, root)
    assert result.returncode == 0
    assert "not built: ZeroDivisionError" in result.stdout
    assert "Report        not built, see the log" in result.stdout
    assert "Traceback" not in result.stdout + result.stderr
    (run,) = json.loads(run_command("runs", root, "--json", "--limit", "1"))
    assert run["report"] is None
    assert (
        "ZeroDivisionError: in the report" in (root / "runs" / run["run"] / "log.txt").read_text()
    )
    monkeypatch.undo()
    assert (
        run_command("report", root, "latest") == f"{root / 'runs' / run['run'] / 'report.html'}\n"
    )


def test_a_changed_setting_runs_what_depends_on_it_and_compares_with_the_blessed(
    image_run, run_in_process
):
    config, root, first = image_run
    pushed_version(first, root)
    requirements = ("evaluate.max_accuracy_drop=0", "evaluate.requirements.accuracy=1")
    worse = run_in_process(config, root, "train.num_workers=0", "train.epochs=1", *requirements)
    assert worse.returncode == 0, worse.stderr
    assert "not blessed: accuracy" in worse.stdout
    assert "the model in production" in worse.stdout
    assert "Model         not pushed" in worse.stdout
    assert "PairGen" in worse.stdout.split("Trainer")[0]
    assert worse.stdout.split("Trainer")[0].count("from the cache") == 8
    pushed_version(worse, root)
    runs = json.loads(run_command("runs", root, "--json"))
    assert (runs[-1]["state"], runs[-1]["blessed"], runs[-1]["version"]) == ("done", False, None)
    both = json.loads(run_command("compare-runs", root, runs[0]["run"], "latest", "--json"))
    assert both["configuration"] == {
        "train.num_workers": {"left": 1, "right": 0},
        "train.epochs": {"left": 12, "right": 1},
        "evaluate.max_accuracy_drop": {"left": 0.02, "right": 0.0},
        "evaluate.requirements.accuracy": {"left": 0.7, "right": 1.0},
    }
    assert both["same_pairs"]
    before, after = (both["metrics"]["accuracy"][side]["value"] for side in ("left", "right"))
    assert both["paired"]["difference"]["value"] == pytest.approx(after - before)
    assert both["left"]["reason"] != both["right"]["reason"]


def test_negatives_of_similar_classes_use_the_blessed_model(image_run, run_in_process):
    config, root, first = image_run
    pushed_version(first, root)
    requirements = ("evaluate.max_accuracy_drop=0", "evaluate.requirements.accuracy=1")
    quick = ("train.num_workers=0", "train.epochs=1")
    result = run_in_process(config, root, "pairs.negatives=similar_classes", *quick, *requirements)
    assert result.returncode == 0, result.stderr
    assert "3 class centroids computed with the model in production" in result.stdout
    assert "Negatives     similar_classes" in result.stdout
    before, pair_gen = result.stdout.split("PairGen")
    assert before.count("from the cache") == 7
    assert "from the cache" not in pair_gen


def test_a_single_class_is_an_error_before_the_first_step(tmp_path):
    (tmp_path / "data" / "only").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "data" / "only" / "1.png")
    config = write_config(tmp_path, {"kind": "images", "path": "data"})
    log = assert_run_fails(
        run_in_subprocess(config, tmp_path / "root"), "at least 2 classes", "only"
    )
    assert log.is_file()
    assert not (tmp_path / "root" / "artifacts").exists()


def test_a_root_that_is_not_writable_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    config = write_config(tmp_path, {"kind": "images", "path": "data"})
    result = run_in_subprocess(config, tmp_path / "file" / "root")
    assert result.returncode == 1
    assert result.stderr == (
        f"Error: Cannot write into the root {tmp_path / 'file' / 'root'}: Not a directory.\n"
    )


def test_too_many_rejected_rows_fail_the_run(tmp_path, run_in_process):
    x, labels = blobs(100, seed=1)
    table = pd.DataFrame(x, columns=list("abcde"))
    table["label"] = labels
    table.loc[:9, "c"] = np.nan
    table.to_csv(tmp_path / "data.csv", index=False)
    config = write_config(tmp_path, {"kind": "table", "path": "data.csv", "label": "label"})
    failed = run_in_process(config, tmp_path / "root")
    log = assert_run_fails(failed, "10 of 100", "column 'c' has no value", "max_rejected")
    assert failed.stdout.splitlines()[-1].split() == ["ExampleGen", ANY, "s", "failed"]
    assert "DataError" in log.read_text()
    (run,) = json.loads(run_command("runs", tmp_path / "root", "--json"))
    assert (run["state"], run["last_step"], run["report"]) == ("failed", "ExampleGen", None)
    assert run["run"] == log.parent.name
