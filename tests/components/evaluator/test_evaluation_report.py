import dataclasses

import numpy as np
import pytest
from toy_evaluation import raw_distance

from diptych.components.evaluator.evaluation_files import write_evaluation_files
from diptych.components.evaluator.evaluation_report import build_evaluation_report
from diptych.components.evaluator.model_predictions import ModelPredictions
from diptych.components.evaluator.slice_metrics import compute_pair_metrics
from diptych.schemas.config.evaluate import EvaluateConfig, MetricRequirements
from diptych.schemas.evaluation import ClassMetrics, Estimate, EvaluationReport

CONFIG = EvaluateConfig(
    threshold=4.5,
    bootstrap=100,
    requirements=MetricRequirements(accuracy=0.7),
    max_accuracy_drop=0.05,
)


@pytest.fixture
def predict(draw_pairs):
    """A function that makes predictions of a model of a given skill."""

    def predict(skill, seed=0, num_pairs=600, examples=150):
        pairs = draw_pairs(seed, pairs=num_pairs, examples=examples, skill=skill)
        embeddings = np.random.default_rng(seed).normal(size=(examples, 3)).astype(np.float32)
        return ModelPredictions(embeddings, pairs, threshold=4 + skill / 2)

    return predict


def evaluate_model(candidate, production, config, raw=None, leaked=0.0, **options):
    """Evaluate a model that is better than the no-learning baseline, unless ``raw`` is given."""
    metrics = compute_pair_metrics(candidate, config)
    raw = raw or raw_distance(0.6)
    return build_evaluation_report(candidate, production, raw, metrics, leaked, config, **options)


def check_names(report, passed):
    return [check.name for check in report.checks if check.passed is passed]


def test_without_a_model_in_production_only_the_requirements_apply(predict):
    note = "No model is in production yet."
    report = evaluate_model(predict(3.0), None, CONFIG, notes=(note,))
    assert report.blessed
    assert check_names(report, True) == ["accuracy", "max_leaked", "beats_baseline", "collapse"]
    assert report.production is None
    assert report.notes[0] == note


def test_a_better_model_is_blessed_and_a_worse_one_is_not(predict):
    good, worse = predict(4.0), predict(2.0)
    assert check_names(evaluate_model(good, worse, CONFIG), False) == []
    report = evaluate_model(worse, good, CONFIG)
    assert not report.blessed
    assert check_names(report, False) == ["max_accuracy_drop"]
    assert "exceeds the allowed drop" in report.reason
    assert report.production.only_reference_correct > report.production.only_candidate_correct


def test_a_collapsed_model_is_not_blessed_even_without_requirements(predict):
    config = CONFIG.model_copy(update={"requirements": MetricRequirements(accuracy=None)})
    good = predict(4.0)
    collapsed = dataclasses.replace(
        good,
        embeddings=np.ones_like(good.embeddings),
        pairs=dataclasses.replace(good.pairs, distance=np.zeros(600, np.float32)),
    )
    report = evaluate_model(collapsed, None, config)
    assert check_names(report, False) == ["collapse"]
    assert report.collapse == "all embeddings are nearly identical"
    assert not report.blessed


@pytest.fixture
def useless_training():
    """A no-learning baseline that is as good as the model."""
    comparison = raw_distance(0.9).comparison.model_copy(
        update={"difference": Estimate(value=0.0, low=-0.01, high=0.01)}
    )
    return raw_distance(0.9).model_copy(update={"comparison": comparison})


def test_a_model_that_does_not_beat_the_baseline_is_not_blessed(predict, useless_training):
    report = evaluate_model(predict(3.0), None, CONFIG, raw=useless_training)
    assert not report.blessed
    assert check_names(report, False) == ["beats_baseline"]
    assert report.raw_distance == useless_training
    assert "set evaluate.requirements.beats_baseline: false" in report.reason


def test_without_the_requirement_a_note_reports_that_the_baseline_is_as_good(
    predict, useless_training
):
    requirements = MetricRequirements(accuracy=0.7, beats_baseline=False)
    config = CONFIG.model_copy(update={"requirements": requirements})
    report = evaluate_model(predict(3.0), None, config, raw=useless_training)
    assert report.blessed
    assert "beats_baseline" not in check_names(report, True)
    assert report.notes[0].startswith("Not required, but the plain distance between inputs")
    better = evaluate_model(predict(3.0), None, config)
    assert not any("plain distance" in note for note in better.notes)


def test_a_model_is_not_blessed_on_test_pairs_known_from_training(predict):
    assert evaluate_model(predict(3.0), None, CONFIG, leaked=0.05).blessed
    report = evaluate_model(predict(3.0), None, CONFIG, leaked=0.06)
    assert not report.blessed
    assert check_names(report, False) == ["max_leaked"]
    assert "Set split.duplicates: together" in report.reason
    report = evaluate_model(predict(3.0), None, CONFIG, leaked=0.06, are_pairs_given=True)
    assert "Set split.by: connected" in report.reason


def test_without_a_limit_a_note_reports_leaked_pairs(predict):
    requirements = MetricRequirements(accuracy=0.7, max_leaked=None)
    config = CONFIG.model_copy(update={"requirements": requirements})
    report = evaluate_model(predict(3.0), None, config, leaked=0.5)
    assert report.blessed
    assert report.notes[0].startswith("50.00% of the test pairs have an example known from")
    assert not any(
        "known from" in note for note in evaluate_model(predict(3.0), None, config).notes
    )


def test_a_rate_that_cannot_be_measured_has_a_note(predict):
    (note,) = evaluate_model(predict(3.0), None, CONFIG).notes
    assert note.startswith("TAR at FAR 0.001 requires 1,000 negative pairs in the test split, got ")


def test_the_written_report_can_be_read(predict, tmp_path):
    bad_class = ClassMetrics(
        **dict.fromkeys(("accuracy_positive", "accuracy_negative", "recall_at_1")),
        **{"label": "a|b", "seen": True, "examples": 9, "pairs": 80, "accuracy": 0.5},
    )
    report = evaluate_model(predict(3.0), predict(3.0, seed=0), CONFIG)
    report = report.model_copy(update={"classes": (bad_class,)})
    write_evaluation_files(tmp_path, report, None)
    assert EvaluationReport.read(tmp_path) == report
    text = (tmp_path / "report.md").read_text()
    for check in report.checks:
        assert check.text in text
    assert f"| ROC AUC | {report.pairs.roc_auc.value:.2%} |" in text
    assert "| TAR at FAR 0.001 | - | - |" in text
    assert "| a\\|b | 50.00% | 80 |" in text
    assert {path.name for path in tmp_path.iterdir()} == {"evaluation.json", "report.md"}
