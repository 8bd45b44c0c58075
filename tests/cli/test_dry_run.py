"""``diptych run --dry-run``, on the toy pipeline."""

import contextlib
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from toy_runs import run_toy, toy_pipeline

STEPS = ["ExampleGen", "PairGen", "Trainer", "Evaluator", "Pusher"]


@pytest.fixture
def config(tmp_path):
    (tmp_path / "data.csv").write_text("label,a\nx,1\ny,2\n")
    data = {"kind": "table", "path": "data.csv", "label": "label"}
    (tmp_path / "config.yaml").write_text(yaml.safe_dump({"name": "toy", "data": data}))
    return tmp_path / "config.yaml"


@pytest.fixture
def plan(config, diptych, monkeypatch):
    """Plan a run of the toy pipeline; return the state of each step."""

    def plan(**settings):
        monkeypatch.setattr(
            "diptych.pipeline.graph.build_pipeline",
            lambda config, inputs, root, production: toy_pipeline(root, **settings),
        )
        result = diptych("run", config, "--root", config.parent / "root", "--dry-run")
        assert result.exit_code == 0, result.output
        first, *steps = result.stdout.splitlines()
        assert first == f"toy  root {config.parent / 'root'}"
        return {name: state for name, state in (line.split(maxsplit=1) for line in steps)}

    return plan


def content_of(root):
    return {path: path.read_bytes() if path.is_file() else None for path in sorted(root.rglob("*"))}


def test_without_earlier_runs_all_steps_would_run_and_no_root_is_made(plan, config):
    assert plan() == dict.fromkeys(STEPS, "would run")
    assert not (config.parent / "root").exists()


def test_unchanged_steps_are_cached_and_the_root_stays_as_it_is(plan, config):
    root = config.parent / "root"
    run_toy(root, "first")
    before = content_of(root)
    assert plan() == dict.fromkeys(STEPS, "cached")
    changed = plan(learning_rate=0.2)
    assert changed == {
        **dict.fromkeys(STEPS[:2], "cached"),
        **dict.fromkeys(STEPS[2:], "would run"),
    }
    assert content_of(root) == before
    launched = []
    assert [step.state for step in _run_again(root, launched, learning_rate=0.2).steps] == [
        *("cached", "cached", "ran", "ran", "ran")
    ]


def _run_again(root, launched, **settings):
    from diptych.pipeline.runs.records import read_run

    launched += run_toy(root, "second", **settings)
    return read_run(root, "second")


def test_a_step_whose_outputs_were_deleted_would_run(plan, config):
    import shutil

    root = config.parent / "root"
    run_toy(root, "first")
    shutil.rmtree(root / "artifacts" / "Trainer" / "model")
    assert plan()["Trainer"] == plan()["Pusher"] == "would run"
    assert plan()["PairGen"] == "cached"


def test_an_interrupted_step_would_run(plan, config):
    with contextlib.suppress(ValueError):
        run_toy(config.parent / "root", "first", end="failed")
    assert plan(end="failed")["PairGen"] == "cached"
    assert plan(end="failed")["Trainer"] == "would run"


def test_data_and_configuration_are_checked(diptych, config):
    (config.parent / "data.csv").unlink()
    result = diptych("run", config, "--dry-run")
    assert result.exit_code == 1
    assert "data.path does not exist" in result.stderr
    result = diptych("run", config, "--dry-run", "--set", "train.epochs=none")
    assert (result.exit_code, "train.epochs" in result.stderr) == (1, True)
    assert diptych("run", config, "--dry-run", "--nightly").exit_code == 2


def test_the_list_of_given_pairs_is_checked(diptych, config):
    table = "label,a\n" + "".join(f"{n % 2},{n}\n" for n in range(40))
    (config.parent / "data.csv").write_text(table)
    arguments = ("run", config, "--root", config.parent / "root", "--dry-run", "--set")
    (config.parent / "pairs.csv").write_text("one,two,same\na,b,1\nc,d,no idea\n")
    result = diptych(*arguments, f"evaluate.pairs={config.parent / 'pairs.csv'}")
    assert result.exit_code == 1
    assert "Error: evaluate.pairs" in result.stderr
    assert "the column 'same' has the value 'no idea'. Expected 1 or 0" in result.stderr
    result = diptych(*arguments, f"evaluate.pairs={config.parent / 'none.csv'}")
    assert result.exit_code == 1
    assert "evaluate.pairs does not exist" in result.stderr
    (config.parent / "pairs.csv").write_text("one,two,same\na,b,1\nc,d,0\n")
    assert diptych(*arguments, f"evaluate.pairs={config.parent / 'pairs.csv'}").exit_code == 0


def test_the_output_of_tensorflow_is_hidden(config):
    command = [Path(sys.executable).with_name("diptych"), "run", config, "--dry-run"]
    result = subprocess.run(command, capture_output=True, text=True, cwd=config.parent, check=True)
    assert result.stderr == ""


def test_unused_columns_and_files_and_a_suspicious_header_are_listed(config, diptych, monkeypatch):
    monkeypatch.setattr(
        "diptych.pipeline.graph.build_pipeline",
        lambda config, inputs, root, production: toy_pipeline(root),
    )
    (config.parent / "data.csv").write_text("label,a,note\nx,1,p\ny,2,q\n")
    result = diptych("run", config, "--root", config.parent / "root", "--dry-run")
    assert result.stdout.splitlines()[-1] == "  Ignored           1 x text column (note)"
    (config.parent / "data.csv").rename(config.parent / "train.csv")
    (config.parent / "test.csv").write_text("label,a,note\nx,1,p\ny,2,q\n")
    folder = f"data.path={config.parent}/*.csv"
    result = diptych("run", config, "--root", config.parent / "root", "--dry-run", "--set", folder)
    assert "Data              2 x file named like a split; its examples are" in result.stdout
    (config.parent / "data.csv").write_text("label,7.5\nx,1.5\ny,2.5\n")
    result = diptych("run", config, "--root", config.parent / "root", "--dry-run")
    assert "  Data              1 x first row that looks like data" in result.stdout
    (config.parent / "table").mkdir()
    (config.parent / "data.csv").rename(config.parent / "table" / "data.csv")
    (config.parent / "table" / "old.xlsx").touch()
    arguments = ("--dry-run", "--set", f"data.path={config.parent / 'table'}")
    result = diptych("run", config, "--root", config.parent / "root", *arguments)
    assert "1 x file without the extension of such data (old.xlsx)" in result.stdout
