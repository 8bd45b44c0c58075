"""``diptych compare-runs`` on runs recorded by TFX."""

import json

import pytest
from click.testing import CliRunner
from toy_evaluation import given_pairs, toy_evaluation

from diptych.cli.main import main
from diptych.pipeline.runs.compare import largest_class_changes
from diptych.pipeline.runs.details import find_differences, flatten, list_metrics
from diptych.pipeline.runs.outcome import RunOutcome

FIRST, FAILED = "2026-11-01_010000", "2026-11-02_020000"
OTHER_MODEL, OTHER_PAIRS = "2026-11-04", "2026-11-05"


@pytest.fixture
def compare(toy_root):
    def call(*arguments):
        result = CliRunner().invoke(main, ["compare-runs", "--root", str(toy_root), *arguments])
        assert result.exit_code == 0, result.output
        return result.output

    return call


def run_with_classes(accuracies):
    """Outcome of a run with these class accuracies."""
    return RunOutcome(None, "done", None, toy_evaluation(classes=accuracies), None)


def test_only_differing_settings_data_balance_and_training_are_listed(compare):
    comparison = json.loads(compare(FIRST, OTHER_MODEL, "--json"))
    assert comparison["configuration"]["train.learning_rate"] == {"left": 0.1, "right": 0.2}
    assert set(comparison["configuration"]) == {
        *("train.learning_rate", "evaluate.accuracy", "evaluate.classes.ant"),
        *("evaluate.classes.bee", "evaluate.classes.cat", "evaluate.distance"),
    }
    assert [comparison[part] for part in ("data", "balance", "training", "code")] == [
        {},
        {},
        {},
        [],
    ]
    comparison = json.loads(compare(FIRST, OTHER_PAIRS, "--json"))
    assert comparison["configuration"]["pairs.rounds"] == {"left": 1, "right": 2}
    assert comparison["data"] == {"fingerprint": {"left": "f1", "right": "f2"}}
    assert comparison["balance"]["train positive pairs"] == {"left": 10, "right": 20}
    assert comparison["code"] == ["Trainer"]


def test_runs_on_the_same_pairs_are_compared_pair_by_pair(compare):
    # At the threshold 0.7 the first classifies pairs 1 and 2 correctly, the other 1 and 4.
    comparison = json.loads(compare(FIRST, OTHER_MODEL, "--json"))
    assert comparison["same_pairs"] is True
    paired = comparison["paired"]
    assert (paired["only_candidate_correct"], paired["only_reference_correct"]) == (1, 1)
    assert paired["difference"]["value"] == 0
    text = compare(FIRST, OTHER_MODEL)
    assert "On the same pairs: accuracy +0.0, 95 % interval " in text
    assert "correct pairs only in the right run: 1, only in the left run: 1." in text


def test_differing_test_pairs_are_reported(compare):
    comparison = json.loads(compare(FIRST, OTHER_PAIRS, "--json"))
    assert (comparison["same_pairs"], comparison["paired"]) == (False, None)
    assert "The test pairs differ" in compare(FIRST, OTHER_PAIRS)


def test_metrics_are_printed_next_to_each_other_with_difference_and_verdicts(compare):
    lines = [line.split() for line in compare(FIRST, OTHER_MODEL).splitlines()]
    assert ["accuracy", "90.0", "(89.0-91.0)", "70.0", "(69.0-71.0)", "-20.0"] in lines
    assert ["train.learning_rate", "0.1", "->", "0.2"] in lines
    assert ["Data", "the", "same"] in lines
    assert ["bee", "50.0", "70.0", "+20.0"] in lines
    assert ["ant", "90.0", "80.0", "-10.0"] in lines
    assert ["Verdict", "left", "blessed"] in lines
    assert ["Verdict", "right", "not", "blessed"] in lines
    assert [
        "accuracy",
        "70.00%",
        "does",
        "not",
        "meet",
        "the",
        "requirement",
        "of",
        "at",
        "least",
        "80.00%",
    ] in lines


def test_a_failed_run_is_compared_by_its_completed_steps(compare):
    comparison = json.loads(compare(FIRST, FAILED, "--json"))
    assert comparison["right"]["state"] == "failed"
    assert comparison["configuration"] == {}  # the settings of the Evaluator are unknown
    assert (comparison["same_pairs"], comparison["paired"]) == (None, None)
    assert comparison["metrics"]["accuracy"]["right"] is None
    text = compare(FIRST, FAILED)
    assert "failed at Trainer" in text
    assert "Verdict right  none" in text


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("2026-11-01", "latest"), "Error: 2 runs match '2026-11-01'. Give the name of one run"),
        ((FIRST, "2027"), "Error: No run matches '2027'. Give the name of one run"),
    ],
)
def test_an_ambiguous_or_unknown_run_name_is_an_error_of_one_line(toy_root, names, message):
    result = CliRunner().invoke(main, ["compare-runs", "--root", str(toy_root), *names])
    assert result.exit_code == 1
    assert message in result.output
    assert result.output.count("\n") == 1


def test_only_the_five_largest_gains_and_losses_of_many_classes_are_listed():
    before = {f"c{number:02}": 0.5 for number in range(20)}
    after = {f"c{number:02}": 0.40 + 0.01 * number for number in range(20)}
    changes = largest_class_changes(
        run_with_classes(before), run_with_classes(after | {"new": 1.0})
    )
    labels = [change.label for change in changes]
    assert labels == [
        *("c19", "c18", "c17", "c16", "c15"),
        *("c04", "c03", "c02", "c01", "c00"),
    ]
    assert changes[0].gain == pytest.approx(0.09)
    assert changes[-1].gain == pytest.approx(-0.1)


def test_classes_with_unchanged_accuracy_are_omitted():
    left, right = run_with_classes({"a": 0.5, "b": 0.2}), run_with_classes({"a": 0.5})
    assert largest_class_changes(left, right) == []


def test_settings_are_flattened_by_path_and_a_list_is_a_leaf():
    nested = {"loss": {"name": "triplet", "margin": 0.2}, "size": [28, 28], "decoder": None}
    assert flatten(nested, "model") == {
        "model.loss.name": "triplet",
        "model.loss.margin": 0.2,
        "model.size": [28, 28],
        "model.decoder": None,
    }


def test_a_value_missing_on_one_side_is_a_difference():
    assert find_differences({"a": 1, "b": 2}, {"b": 2, "c": 3}) == {"a": (1, None), "c": (None, 3)}


def test_metrics_have_standard_names():
    assert {name: each.value for name, each in list_metrics(toy_evaluation()).items()} == {
        "accuracy": 0.9,
        "accuracy at 0.5": 0.85,
        "precision": 0.8,
        "recall": 0.7,
        "F1": 0.75,
        "ROC AUC": 0.95,
        "equal error rate": 0.12,
        "TAR at FAR 0.01": 0.6,
        "baseline accuracy": 0.6,
        "baseline ROC AUC": 0.65,
    }


def test_metrics_of_given_pairs_are_listed():
    report = toy_evaluation(given_pairs=given_pairs())
    metrics = list_metrics(report)
    folds = metrics["accuracy of given pairs, folds"]
    assert (folds.value, folds.low, folds.high) == pytest.approx((0.75, 0.7108, 0.7892))
    assert metrics["ROC AUC of given pairs"].value == 0.95
    plain = list_metrics(toy_evaluation(given_pairs=given_pairs(folds=None, verification=None)))
    assert not any("given" in name for name in plain)


def test_metrics_of_seen_classes_are_listed_only_with_unseen_classes():
    complete = toy_evaluation().all
    seen, unseen = (complete.model_copy(update={"name": name}) for name in ("seen", "unseen"))
    only_seen = list_metrics(toy_evaluation(slices=(complete, seen)))
    both = list_metrics(toy_evaluation(slices=(complete, seen, unseen)))
    assert set(both) - set(only_seen) == {"accuracy, seen", "accuracy, unseen"}
