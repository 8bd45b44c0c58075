import dataclasses

import numpy as np
import pytest

from diptych.components.evaluator.evaluate import Outcome, evaluate, whole_split
from diptych.components.evaluator.evaluation_files import write_evaluation
from diptych.schemas.config.evaluate import Bars, Evaluate
from diptych.schemas.evaluation import ClassFigures, Evaluation

SETTINGS = Evaluate(threshold=4.5, bootstrap=100, bars=Bars(accuracy=0.7), max_drop=0.05)


@pytest.fixture
def outcome(draw_judged):
    def outcome(skill, seed=0, pairs=600, examples=150):
        judged = draw_judged(seed, pairs=pairs, examples=examples, skill=skill)
        embedding = np.random.default_rng(seed).normal(size=(examples, 3)).astype(np.float32)
        return Outcome(embedding, judged, threshold=4 + skill / 2)

    return outcome


def judge(candidate, baseline, settings, **more):
    return evaluate(candidate, baseline, (whole_split(candidate, settings),), settings, **more)


def names(evaluation, holds):
    return [rule.name for rule in evaluation.rules if rule.holds is holds]


def test_the_first_model_is_judged_by_the_bars_alone(outcome):
    found = judge(outcome(3.0), None, SETTINGS, notes=("No model is in production yet.",))
    assert found.blessed
    assert names(found, True) == ["accuracy", "collapse"]
    assert found.comparison is None
    assert found.notes[0] == "No model is in production yet."


def test_a_better_model_is_blessed_and_a_worse_one_is_not(outcome):
    good, worse = outcome(4.0), outcome(2.0)
    assert names(judge(good, worse, SETTINGS), False) == []
    found = judge(worse, good, SETTINGS)
    assert not found.blessed
    assert names(found, False) == ["max_drop"]
    assert "falls behind" in found.reason
    assert found.comparison.only_baseline_right > found.comparison.only_candidate_right


def test_a_collapsed_model_is_not_blessed_whatever_the_bars(outcome):
    settings = SETTINGS.model_copy(update={"bars": Bars(accuracy=None)})
    good = outcome(4.0)
    collapsed = dataclasses.replace(
        good,
        embedding=np.ones_like(good.embedding),
        judged=dataclasses.replace(good.judged, distance=np.zeros(600, np.float32)),
    )
    found = judge(collapsed, None, settings)
    assert names(found, False) == ["collapse"]
    assert found.collapse == "all embeddings are alike, whatever the example"
    assert not found.blessed


def test_a_rate_that_cannot_be_told_has_a_note(outcome):
    (note,) = judge(outcome(3.0), None, SETTINGS).notes
    assert note.startswith("TAR at FAR 0.001 needs 1,000 different pairs in the test split, and")


def test_what_is_written_is_read_again(outcome, tmp_path):
    bad = ClassFigures(
        **dict.fromkeys(("accuracy_same", "accuracy_different", "recall_at_1")),
        **{"label": "a|b", "seen": True, "examples": 9, "pairs": 80, "accuracy": 0.5},
    )
    found = judge(outcome(3.0), outcome(3.0, seed=0), SETTINGS)
    found = found.model_copy(update={"classes": (bad,)})
    write_evaluation(tmp_path, found, None)
    assert Evaluation.read(tmp_path) == found
    report = (tmp_path / "report.md").read_text()
    for rule in found.rules:
        assert rule.text in report
    assert f"| ROC AUC | {found.pairs.roc_auc.value:.2%} |" in report
    assert "| TAR at FAR 0.001 | - | - |" in report
    assert "| a\\|b | 50.00% | 80 |" in report
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.json", "report.md"}
