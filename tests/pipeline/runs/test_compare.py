"""``diptych compare-runs``, on runs that TFX has recorded."""

import json

import pytest
from click.testing import CliRunner
from toy_evaluation import toy_evaluation

from diptych.cli.main import main
from diptych.pipeline.runs.compare import class_changes
from diptych.pipeline.runs.facts import differing, figures_of, flat
from diptych.pipeline.runs.outcome import Outcome

FIRST, FAILED = "2026-11-01_010000", "2026-11-02_020000"
OTHER_MODEL, OTHER_PAIRS = "2026-11-04", "2026-11-05"


@pytest.fixture
def compare(toy_root):
    def call(*arguments):
        done = CliRunner().invoke(main, ["compare-runs", "--root", str(toy_root), *arguments])
        assert done.exit_code == 0, done.output
        return done.output

    return call


def of(accuracies):
    """A run that has judged classes."""
    return Outcome(None, "done", None, toy_evaluation(classes=accuracies), None)


def test_only_what_differs_is_said_of_settings_data_balance_and_training(compare):
    found = json.loads(compare(FIRST, OTHER_MODEL, "--json"))
    assert found["configuration"]["train.learning_rate"] == {"left": 0.1, "right": 0.2}
    assert set(found["configuration"]) == {
        *("train.learning_rate", "evaluate.accuracy", "evaluate.classes.ant"),
        *("evaluate.classes.bee", "evaluate.classes.cat", "evaluate.distance"),
    }
    assert [found[part] for part in ("data", "balance", "training", "code")] == [{}, {}, {}, []]
    found = json.loads(compare(FIRST, OTHER_PAIRS, "--json"))
    assert found["configuration"]["pairs.rounds"] == {"left": 1, "right": 2}
    assert found["data"] == {"fingerprint": {"left": "f1", "right": "f2"}}
    assert found["balance"]["train same pairs"] == {"left": 10, "right": 20}
    assert found["code"] == ["Trainer"]


def test_on_the_same_pairs_the_models_are_compared_pair_by_pair(compare):
    # At the threshold 0.7 the first tells 1, 2 right and 3, 4 wrong; the other 1, 4.
    found = json.loads(compare(FIRST, OTHER_MODEL, "--json"))
    assert found["same_pairs"] is True
    paired = found["paired"]
    assert (paired["only_candidate_right"], paired["only_baseline_right"]) == (1, 1)
    assert paired["difference"]["value"] == 0
    text = compare(FIRST, OTHER_MODEL)
    assert "On the same pairs: accuracy +0.0, 95 % interval " in text
    assert "right alone told 1 of them right, left alone 1." in text


def test_figures_of_other_pairs_are_said_to_be_that(compare):
    found = json.loads(compare(FIRST, OTHER_PAIRS, "--json"))
    assert (found["same_pairs"], found["paired"]) == (False, None)
    assert "The test pairs are others" in compare(FIRST, OTHER_PAIRS)


def test_figures_stand_side_by_side_with_the_difference_and_the_verdicts_below(compare):
    lines = [line.split() for line in compare(FIRST, OTHER_MODEL).splitlines()]
    assert ["accuracy", "90.0", "(89.0-91.0)", "70.0", "(69.0-71.0)", "-20.0"] in lines
    assert ["train.learning_rate", "0.1", "->", "0.2"] in lines
    assert ["Data", "the", "same"] in lines
    assert ["bee", "50.0", "70.0", "+20.0"] in lines
    assert ["ant", "90.0", "80.0", "-10.0"] in lines
    assert ["Verdict", "left", "blessed"] in lines
    assert ["Verdict", "right", "not", "blessed"] in lines
    assert ["accuracy", "70.00%", "is", "below", "the", "bar", "of", "80.00%"] in lines


def test_a_run_that_failed_is_compared_as_far_as_it_came(compare):
    found = json.loads(compare(FIRST, FAILED, "--json"))
    assert found["right"]["state"] == "failed"
    assert found["configuration"] == {}  # of the settings of the Evaluator nothing is known
    assert (found["same_pairs"], found["paired"]) == (None, None)
    assert found["figures"]["accuracy"]["right"] is None
    text = compare(FIRST, FAILED)
    assert "failed at Trainer" in text
    assert "Verdict right  none" in text


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (("2026-11-01", "latest"), "Error: Needed is one run, and 2 runs begin with '2026-11-01'"),
        ((FIRST, "2027"), "Error: Needed is one run, and no run begins with '2027'"),
    ],
)
def test_a_run_that_is_not_named_clearly_is_said_in_a_line(toy_root, names, words):
    done = CliRunner().invoke(main, ["compare-runs", "--root", str(toy_root), *names])
    assert done.exit_code == 1
    assert words in done.output
    assert done.output.count("\n") == 1


def test_of_many_classes_the_five_largest_gains_and_losses_are_shown():
    before = {f"c{number:02}": 0.5 for number in range(20)}
    after = {f"c{number:02}": 0.40 + 0.01 * number for number in range(20)}
    changes = class_changes(of(before), of(after | {"new": 1.0}))
    labels = [change.label for change in changes]
    assert labels == [
        *("c19", "c18", "c17", "c16", "c15"),
        *("c04", "c03", "c02", "c01", "c00"),
    ]
    assert changes[0].gain == pytest.approx(0.09)
    assert changes[-1].gain == pytest.approx(-0.1)


def test_a_class_that_has_not_changed_is_no_change():
    assert class_changes(of({"a": 0.5, "b": 0.2}), of({"a": 0.5})) == []


def test_settings_are_leaves_by_path_and_a_list_is_one():
    nested = {"loss": {"name": "triplet", "margin": 0.2}, "size": [28, 28], "decoder": None}
    assert flat(nested, "model") == {
        "model.loss.name": "triplet",
        "model.loss.margin": 0.2,
        "model.size": [28, 28],
        "model.decoder": None,
    }


def test_what_only_one_side_has_differs():
    assert differing({"a": 1, "b": 2}, {"b": 2, "c": 3}) == {"a": (1, None), "c": (None, 3)}


def test_figures_have_the_names_of_the_field():
    assert {name: each.value for name, each in figures_of(toy_evaluation()).items()} == {
        "accuracy": 0.9,
        "accuracy at 0.5": 0.85,
        "precision": 0.8,
        "recall": 0.7,
        "F1": 0.75,
        "ROC AUC": 0.95,
        "equal error rate": 0.12,
        "TAR at FAR 0.01": 0.6,
    }


def test_figures_of_seen_classes_are_told_where_there_are_others():
    whole = toy_evaluation().all
    seen, unseen = (whole.model_copy(update={"name": name}) for name in ("seen", "unseen"))
    alone = figures_of(toy_evaluation(slices=(whole, seen)))
    both = figures_of(toy_evaluation(slices=(whole, seen, unseen)))
    assert set(both) - set(alone) == {"accuracy, seen", "accuracy, unseen"}
