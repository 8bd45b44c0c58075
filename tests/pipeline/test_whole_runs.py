"""From images to a pushed model that takes raw pictures, and runs that must not start."""

import json
from pathlib import Path
from unittest.mock import ANY

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw
from whole_runs import (
    QUICK,
    blobs,
    fails,
    in_fresh_process,
    pushed,
    run_in_process_of_its_own,
    write_config,
)

from diptych.cli.main import main
from diptych.schemas.evaluation import Evaluation
from diptych.schemas.manifest import ModelManifest


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


def told(command, root, *arguments):
    """What a command prints of the runs of a root."""
    done = CliRunner().invoke(main, [command, "--root", str(root), *arguments])
    assert done.exit_code == 0, done.output
    return done.output


@pytest.fixture(scope="module")
def image_run(pictures):
    data = {"kind": "images", "path": "data", "size": [16, 16], "channels": 1}
    config = write_config(pictures, data, train={**QUICK["train"], "num_workers": 1})
    return config, pictures / "root", run_in_process_of_its_own(config, pictures / "root")


def test_images_on_ray_to_a_model_that_compares_raw_pictures(image_run, pictures):
    _, root, done = image_run
    model = pushed(done, root)
    names = [
        str(pictures / "data" / name)
        for name in ("bars/lying/1.png", "bars/lying/2.png", "cross/3.gif")
    ]
    answer = in_fresh_process(
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


def test_tensorflow_serving_would_answer_as_python_does(image_run, pictures):
    from tensorflow_server import Server, answers, request

    _, root, done = image_run
    model = pushed(done, root)
    names = [str(pictures / "data" / name) for name in ("bars/lying/1.png", "cross/3.gif")]
    expected = in_fresh_process(
        model,
        f"""
images = tf.constant([open(name, "rb").read() for name in {names!r}])
print(json.dumps(model.signatures["embed"](image=images)["embedding"].numpy().tolist()))
""",
    )
    images = np.array([Path(name).read_bytes() for name in names], object)
    found = answers(Server(model).predict(request("", image=images)))
    np.testing.assert_allclose(found["embedding"], expected, atol=1e-5)


def test_the_console_shows_steps_and_summary_and_no_noise(image_run):
    _, root, done = image_run
    for word in ("ExampleGen", "Transform", "Trainer", "triplets", "calibrated threshold"):
        assert word in done.stdout
    for word in ("ROC AUC", "blessed", "95 % interval", str(root / "serving"), "report.html"):
        assert word in done.stdout
    assert done.stderr == ""
    for noise in ("WARNING", "INFO", "oneDNN", "Traceback"):
        assert noise not in done.stdout
    lines = [line for line in done.stdout.splitlines() if not line.startswith("    epoch ")]
    assert len(lines) < 40


def test_the_pushed_folder_is_as_its_manifest_says(image_run):
    _, root, done = image_run
    model = pushed(done, root)
    manifest = ModelManifest.read(model)
    manifest.check(model)
    assert (manifest.name, str(manifest.version)) == ("toy", model.name)
    assert {"saved_model.pb", "fingerprint.pb", "assets.extra/diptych.json"} < set(manifest.files)
    assert manifest.configuration["data"]["size"] == [16, 16]
    card = json.loads((model / "assets.extra" / "diptych.json").read_text())
    assert manifest.threshold == card["threshold"]


def test_the_threshold_is_chosen_on_calibration_and_reported_on_test(image_run):
    _, root, _ = image_run
    (file,) = root.glob("artifacts/Evaluator/evaluation/*/evaluation.json")
    figures = Evaluation.read(file.parent).pairs
    accuracy = figures.calibrated.accuracy
    assert accuracy.low <= accuracy.value <= accuracy.high
    assert figures.fixed.threshold == 0.5
    assert sum(figures.calibrated.confusion.model_dump().values()) == figures.pairs
    assert len(pq.read_table(file.with_name("pairs.parquet"))) == figures.pairs
    (card,) = root.glob("serving/*/assets.extra/diptych.json")
    assert json.loads(card.read_text())["threshold"] == figures.calibrated.threshold


def test_a_run_is_listed_under_the_name_of_its_folder_with_its_report(image_run):
    _, root, done = image_run
    (folder,) = (root / "runs").iterdir()
    (run,) = json.loads(told("runs", root, "--json"))
    assert (run["run"], run["state"], run["steps_ran"]) == (folder.name, "done", 11)
    assert run["version"] == pushed(done, root).name
    assert run["in_production"]
    assert told("report", root) == f"{folder / 'report.html'}\n"
    assert told("report", root, "--out", str(root / "copy.html")) == f"{root / 'copy.html'}\n"
    assert (root / "copy.html").read_text() == (folder / "report.html").read_text()
    page = (folder / "report.html").read_text()
    assert page.startswith("<!")
    assert folder.name in page


def test_the_manifest_tells_the_figures_that_it_was_blessed_for_and_its_data(image_run):
    _, root, _ = image_run
    (file,) = root.glob("artifacts/Evaluator/evaluation/*/evaluation.json")
    figures = Evaluation.read(file.parent).pairs
    (model,) = root.glob("serving/*")
    manifest = ModelManifest.read(model)
    assert manifest.figures["accuracy"] == figures.calibrated.accuracy.value
    assert manifest.figures["roc_auc"] == figures.roc_auc.value
    assert manifest.data["num_train"] > manifest.data["num_test"] >= figures.examples
    assert len(manifest.data["fingerprint"]) == 32


def test_curves_are_kept_as_json_and_as_tensorboard_events(image_run):
    _, root, _ = image_run
    (curves,) = root.glob("artifacts/Trainer/training_log/*/curves.json")
    assert json.loads(curves.read_text())["epochs"][0]["epoch"] == 1
    assert list(curves.parent.glob("tensorboard/events.out.tfevents.*"))


def test_a_second_run_is_served_from_the_cache_and_says_so(image_run, run_here):
    config, root, first = image_run
    pushed(first, root)
    again = run_here(config, root)
    pushed(again, root)
    assert "Nothing has changed: all from the cache" in again.stdout
    assert again.stdout.count("unchanged, from the cache") == 11
    first_run, second_run = json.loads(told("runs", root, "--json"))
    assert (second_run["state"], second_run["steps_cached"]) == ("unchanged", 11)
    assert second_run["version"] == first_run["version"]
    assert Path(second_run["report"]).parent.name == second_run["run"]


def test_a_report_that_cannot_be_built_does_not_undo_the_run(image_run, run_here, monkeypatch):
    config, root, first = image_run
    pushed(first, root)

    def fault(run, path):
        raise ZeroDivisionError("in the report")

    monkeypatch.setattr("diptych.pipeline.report.build.write_report", fault)
    done = run_here(config, root)
    assert done.returncode == 0
    assert "not built: ZeroDivisionError" in done.stdout
    assert "Report        not built, the log says why" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    (run,) = json.loads(told("runs", root, "--json", "--limit", "1"))
    assert run["report"] is None
    assert (
        "ZeroDivisionError: in the report" in (root / "runs" / run["run"] / "log.txt").read_text()
    )
    monkeypatch.undo()
    assert told("report", root, "latest") == f"{root / 'runs' / run['run'] / 'report.html'}\n"


def test_a_changed_setting_runs_what_depends_on_it_and_compares_with_the_blessed(
    image_run, run_here
):
    config, root, first = image_run
    pushed(first, root)
    bars = ("evaluate.max_drop=0", "evaluate.bars.accuracy=1")
    worse = run_here(config, root, "train.num_workers=0", "train.epochs=1", *bars)
    assert worse.returncode == 0, worse.stderr
    assert "not blessed: accuracy" in worse.stdout
    assert "the model in production" in worse.stdout
    assert "Model         not pushed" in worse.stdout
    assert "PairGen" in worse.stdout.split("Trainer")[0]
    assert worse.stdout.split("Trainer")[0].count("from the cache") == 8
    pushed(worse, root)
    runs = json.loads(told("runs", root, "--json"))
    assert (runs[-1]["state"], runs[-1]["blessed"], runs[-1]["version"]) == ("done", False, None)
    both = json.loads(told("compare-runs", root, runs[0]["run"], "latest", "--json"))
    assert both["configuration"] == {
        "train.num_workers": {"left": 1, "right": 0},
        "train.epochs": {"left": 12, "right": 1},
        "evaluate.max_drop": {"left": 0.02, "right": 0.0},
        "evaluate.bars.accuracy": {"left": 0.7, "right": 1.0},
    }
    assert both["same_pairs"]
    before, after = (both["figures"]["accuracy"][side]["value"] for side in ("left", "right"))
    assert both["paired"]["difference"]["value"] == pytest.approx(after - before)
    assert both["left"]["reason"] != both["right"]["reason"]


def test_confusable_pairs_are_made_with_the_blessed_model(image_run, run_here):
    config, root, first = image_run
    pushed(first, root)
    bars = ("evaluate.max_drop=0", "evaluate.bars.accuracy=1")
    quick = ("train.num_workers=0", "train.epochs=1")
    done = run_here(config, root, "pairs.difficulty=confusable", *quick, *bars)
    assert done.returncode == 0, done.stderr
    assert "3 classes placed by the model in production" in done.stdout
    assert "Difficulty    confusable" in done.stdout
    before, pair_gen = done.stdout.split("PairGen")
    assert before.count("from the cache") == 7
    assert "from the cache" not in pair_gen


def test_one_class_only_stops_before_anything_starts(tmp_path):
    (tmp_path / "data" / "only").mkdir(parents=True)
    Image.new("L", (8, 8)).save(tmp_path / "data" / "only" / "1.png")
    config = write_config(tmp_path, {"kind": "images", "path": "data"})
    log = fails(run_in_process_of_its_own(config, tmp_path / "root"), "At least 2 classes", "only")
    assert log.is_file()
    assert not (tmp_path / "root" / "artifacts").exists()


def test_a_root_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    config = write_config(tmp_path, {"kind": "images", "path": "data"})
    done = run_in_process_of_its_own(config, tmp_path / "file" / "root")
    assert done.returncode == 1
    assert done.stderr == (
        f"Error: Cannot write into the root {tmp_path / 'file' / 'root'}: Not a directory.\n"
    )


def test_too_many_rejected_rows_stop_the_run_with_the_reason_and_the_log(tmp_path, run_here):
    x, labels = blobs(100, seed=1)
    table = pd.DataFrame(x, columns=list("abcde"))
    table["label"] = labels
    table.loc[:9, "c"] = np.nan
    table.to_csv(tmp_path / "data.csv", index=False)
    config = write_config(tmp_path, {"kind": "table", "path": "data.csv", "label": "label"})
    failed = run_here(config, tmp_path / "root")
    log = fails(failed, "10 of 100", "column 'c' has no value", "max_rejected")
    assert failed.stdout.splitlines()[-1].split() == ["ExampleGen", ANY, "s", "failed"]
    assert "DataError" in log.read_text()
    (run,) = json.loads(told("runs", tmp_path / "root", "--json"))
    assert (run["state"], run["last_step"], run["report"]) == ("failed", "ExampleGen", None)
    assert run["run"] == log.parent.name
