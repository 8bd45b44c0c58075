import pytest

from diptych.components.evaluator.requirements import check_requirements, main_metrics
from diptych.components.evaluator.verification import compute_verification_metrics
from diptych.schemas.config.evaluate import EvaluateConfig, MetricRequirements
from diptych.schemas.evaluation import Estimate, FewShot, Retrieval, Slice


@pytest.fixture
def full_slice(draw_pairs):
    """Accuracy 79.75 %, equal error rate 20.5 %; 198 negative pairs."""
    pairs = draw_pairs(5, pairs=400, examples=100, skill=1.7)
    config = EvaluateConfig(bootstrap=5, false_accept_rates=(0.1, 0.001))
    return Slice(name="all", verification=compute_verification_metrics(pairs, 4.85, config))


def test_a_check_states_the_metric_and_the_requirement(full_slice):
    met, missed = check_requirements(MetricRequirements(accuracy=0.75, recall=0.95), full_slice)
    accuracy = full_slice.verification.calibrated.accuracy.value
    assert (met.name, met.value, met.requirement, met.better, met.passed) == (
        *("accuracy", accuracy, 0.75, "higher", True),
    )
    assert met.text == f"accuracy {accuracy:.2%} meets the requirement of at least 75.00%"
    assert not missed.passed
    assert missed.text.endswith("does not meet the requirement of at least 95.00%")


def test_a_metric_equal_to_its_requirement_passes(full_slice):
    accuracy = full_slice.verification.calibrated.accuracy.value
    (check,) = check_requirements(MetricRequirements(accuracy=accuracy), full_slice)
    assert check.passed


def test_an_error_rate_must_be_at_most_its_requirement(full_slice):
    met = check_requirements(MetricRequirements(accuracy=None, equal_error_rate=0.5), full_slice)
    missed = check_requirements(
        MetricRequirements(accuracy=None, equal_error_rate=0.01), full_slice
    )
    assert [check.passed for check in (*met, *missed)] == [True, False]
    assert met[0].better == "lower"
    assert met[0].text.endswith(" meets the requirement of at most 50.00%")
    assert missed[0].text.endswith(" does not meet the requirement of at most 1.00%")


def test_a_requirement_on_an_undefined_metric_fails(full_slice):
    requirements = MetricRequirements(
        accuracy=None, recall_at_1=0.1, tar_at_far={0.001: 0.0, 0.1: 0.2}
    )
    recall, tar, undefined = check_requirements(requirements, full_slice)
    assert tar.passed
    assert tar.text.startswith("TAR at FAR 0.1 ")
    for check, text in (
        (recall, "Recall@1 could not be computed, but is required to be at least 10.00%"),
        (undefined, "TAR at FAR 0.001 could not be computed, but is required to be at least 0.00%"),
    ):
        assert (check.passed, check.value, check.text) == (False, None, text)


def test_without_requirements_there_are_no_checks(full_slice):
    assert check_requirements(MetricRequirements(accuracy=None), full_slice) == ()


def test_every_requirement_has_its_metric(full_slice):
    estimate = Estimate(value=0.625)
    retrieval = Retrieval(
        **{"queries": 9, "gallery": 9, "classes": 2},
        **dict.fromkeys(("recall_at_1", "recall_at_5", "map_at_r"), estimate),
    )
    with_retrieval = full_slice.model_copy(update={"retrieval": retrieval})
    others = {"beats_baseline", "max_leaked"}  # not metrics of the model
    names = set(MetricRequirements.model_fields) - others
    requirements = MetricRequirements(
        tar_at_far={0.1: 0.5}, **dict.fromkeys(names - {"tar_at_far"}, 0)
    )
    checks = check_requirements(requirements, with_retrieval)
    assert len(checks) == len(names)
    assert None not in [check.value for check in checks]
    values = [check.value for check in checks if check.name in ("recall_at_1", "map_at_r")]
    assert values == [0.625] * 2


def test_main_metrics_are_numbers(full_slice):
    few_shot = FewShot(ways=5, shots=1, episodes=9, classes=6, accuracy=Estimate(value=0.5))
    metrics = main_metrics(full_slice.model_copy(update={"few_shot": (few_shot,)}))
    assert all(isinstance(value, float) for value in metrics.values())
    assert metrics["5_way_1_shot"] == 0.5
    assert set(metrics) >= {"accuracy", "roc_auc", "equal_error_rate", "tar_at_far_0.1"}
    assert "tar_at_far_0.001" not in metrics


def test_requirements_survive_the_json_round_trip_to_the_evaluator():
    config = EvaluateConfig(requirements=MetricRequirements(tar_at_far={0.01: 0.9}))
    assert EvaluateConfig.model_validate_json(config.model_dump_json()) == config
