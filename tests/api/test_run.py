"""Runs started from Python."""

import json
import logging
import sys

import numpy as np
import pyarrow.compute as pc
import pytest

import diptych
from diptych.pipeline.lock import lock_root


def test_a_run_has_metrics_a_report_and_its_model(finished_run, workplace):
    assert finished_run.root == workplace / "root"
    assert (
        finished_run.metrics["accuracy"] == finished_run.evaluation.pairs.calibrated.accuracy.value
    )
    assert {"roc_auc", "equal_error_rate", "recall_at_1", "map_at_r"} <= set(finished_run.metrics)
    assert all(type(value) is float for value in finished_run.metrics.values())
    assert finished_run.report.read_text().startswith("<!doctype html>")
    assert finished_run.blessed
    assert finished_run.model.path.parent == workplace / "root" / "serving"
    assert finished_run.model.embed([[0, 0], {"a": 3, "b": 3}]).shape == (2, 4)


def test_overrides_are_those_of_the_run(finished_run):
    assert (
        json.loads(finished_run.record.step("Trainer").parameters["train_settings"])["epochs"] == 1
    )


def test_a_run_prints_nothing_keeps_the_log_and_the_logging_of_the_program(
    finished_run, workplace, capfd, monkeypatch
):
    shown = []
    handler = logging.Handler()
    handler.emit = shown.append
    logging.getLogger().addHandler(handler)
    level = logging.getLogger().level
    stdout = sys.stdout
    try:
        again = diptych.run(
            workplace / "diptych.yaml", root=workplace / "root", overrides={"train.epochs": 1}
        )
    finally:
        logging.getLogger().removeHandler(handler)
    assert again.record.unchanged
    assert capfd.readouterr().out == ""
    assert sys.stdout is stdout
    assert [record for record in shown if record.levelno < logging.WARNING] == []
    assert (logging.getLogger().level, handler.level) == (level, logging.NOTSET)
    assert "absl: " in (workplace / "root" / "runs" / again.name / "log.txt").read_text()
    assert diptych.open_run(workplace / "root", finished_run.name).name == finished_run.name


def test_errors_of_the_configuration_and_the_data_are_raised(workplace, tmp_path):
    def run(**overrides):
        named = {key.replace("__", "."): value for key, value in overrides.items()}
        return diptych.run(workplace / "diptych.yaml", root=tmp_path / "root", overrides=named)

    with pytest.raises(diptych.ConfigError, match=r"train\.epochs"):
        run(train__epochs="many")
    with pytest.raises(diptych.ConfigError, match="cannot be written as YAML"):
        run(train__epochs=object())
    with pytest.raises(diptych.DiptychError, match=r"data\.path does not exist"):
        run(data__path=tmp_path / "nowhere.csv")
    with lock_root(tmp_path / "root"), pytest.raises(diptych.BusyError, match="in use"):
        run()


def test_pairs_of_a_path_are_refused(workplace):
    with pytest.raises(diptych.ConfigError, match="Expected a run, as returned by run or open_run"):
        diptych.read_pairs(workplace / "root")


def test_an_unexpected_error_of_a_step_is_a_step_error_with_its_cause(
    workplace, tmp_path, monkeypatch
):
    def fail(*arguments):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr("diptych.pipeline.graph.build_pipeline", fail)
    with pytest.raises(diptych.StepError, match=r"^ZeroDivisionError: by nothing$") as raised:
        diptych.run(workplace / "diptych.yaml", root=tmp_path / "root")
    assert isinstance(raised.value.__cause__, ZeroDivisionError)
    (log,) = tmp_path.glob("root/runs/*/log.txt")
    assert "Traceback" in log.read_text()


def test_pairs_of_all_shards_refer_to_the_rows_of_all_examples(finished_run):
    examples, pairs, triplets = diptych.read_pairs(finished_run, split="train")
    labels = examples["label"].to_numpy()
    left, right = (pairs[side].to_numpy() for side in ("left", "right"))
    same = pairs["same"].to_numpy().astype(bool)
    np.testing.assert_array_equal(labels[left] == labels[right], same)
    batches = examples["batch"].to_numpy()
    np.testing.assert_array_equal(batches[left], pairs["batch"].to_numpy())
    assert pc.max(pairs["left"]).as_py() > examples["label"].chunk(0).__len__()  # a later shard
    anchor, negative = (triplets[side].to_numpy() for side in ("anchor", "negative"))
    assert (labels[anchor] != labels[negative]).all()
    with pytest.raises(diptych.ConfigError, match="no split 'tset'"):
        diptych.read_pairs(finished_run, split="tset")
