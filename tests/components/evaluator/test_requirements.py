import pytest

from diptych.components.evaluator.requirements import figures_of, rules_of
from diptych.components.evaluator.verification import verify
from diptych.schemas.config.evaluate import Bars, Evaluate
from diptych.schemas.evaluation import Estimate, FewShot, Retrieval, Slice


@pytest.fixture
def part(draw_judged):
    """Accuracy 79.75 %, equal error rate 20.5 %; 198 different pairs."""
    judged = draw_judged(5, pairs=400, examples=100, skill=1.7)
    settings = Evaluate(bootstrap=5, false_accept_rates=(0.1, 0.001))
    return Slice(name="all", verification=verify(judged, 4.85, settings))


def test_a_rule_says_figure_and_bar(part):
    high, low = rules_of(Bars(accuracy=0.75, recall=0.95), part)
    figure = part.verification.calibrated.accuracy.value
    assert (high.name, high.figure, high.bar, high.better, high.holds) == (
        *("accuracy", figure, 0.75, "higher", True),
    )
    assert high.text == f"accuracy {figure:.2%} reaches the bar of 75.00%"
    assert not low.holds
    assert low.text.endswith("is below the bar of 95.00%")


def test_a_figure_on_its_bar_holds(part):
    value = part.verification.calibrated.accuracy.value
    (rule,) = rules_of(Bars(accuracy=value), part)
    assert rule.holds


def test_an_error_rate_is_good_when_low(part):
    at_most = rules_of(Bars(accuracy=None, equal_error_rate=0.5), part)
    too_high = rules_of(Bars(accuracy=None, equal_error_rate=0.01), part)
    assert [rule.holds for rule in (*at_most, *too_high)] == [True, False]
    assert at_most[0].better == "lower"
    assert at_most[0].text.endswith("is within the bar of 50.00%")
    assert too_high[0].text.endswith("is above the bar of 1.00%")


def test_a_bar_on_a_figure_that_could_not_be_told_does_not_hold(part):
    bars = Bars(accuracy=None, recall_at_1=0.1, tar_at_far={0.001: 0.0, 0.1: 0.2})
    recall, tar, untold = rules_of(bars, part)
    assert tar.holds
    assert tar.text.startswith("TAR at FAR 0.1 ")
    for rule, text in (
        (recall, "Recall@1 could not be told, and a bar of 10.00% is set"),
        (untold, "TAR at FAR 0.001 could not be told, and a bar of 0.00% is set"),
    ):
        assert (rule.holds, rule.figure, rule.text) == (False, None, text)


def test_without_bars_there_are_no_rules(part):
    assert rules_of(Bars(accuracy=None), part) == ()


def test_every_bar_has_its_figure(part):
    told = Estimate(value=0.625)
    retrieval = Retrieval(
        queries=9, gallery=9, classes=2, recall_at_1=told, recall_at_5=told, map_at_r=told
    )
    whole = part.model_copy(update={"retrieval": retrieval})
    bars = Bars(tar_at_far={0.1: 0.5}, **dict.fromkeys(set(Bars.model_fields) - {"tar_at_far"}, 0))
    rules = rules_of(bars, whole)
    assert len(rules) == len(Bars.model_fields)
    assert None not in [rule.figure for rule in rules]
    assert [rule.figure for rule in rules if rule.name in ("recall_at_1", "map_at_r")] == [
        0.625
    ] * 2


def test_the_main_figures_by_name_are_numbers(part):
    shot = FewShot(ways=5, shots=1, episodes=9, classes=6, accuracy=Estimate(value=0.5))
    figures = figures_of(part.model_copy(update={"few_shot": (shot,)}))
    assert all(isinstance(value, float) for value in figures.values())
    assert figures["5_way_1_shot"] == 0.5
    assert set(figures) >= {"accuracy", "roc_auc", "equal_error_rate", "tar_at_far_0.1"}
    assert "tar_at_far_0.001" not in figures


def test_bars_come_through_json_as_the_evaluator_is_given_them():
    settings = Evaluate(bars=Bars(tar_at_far={0.01: 0.9}))
    assert Evaluate.model_validate_json(settings.model_dump_json()) == settings
