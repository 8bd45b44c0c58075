import io
from pathlib import Path

import pytest
from rich.console import Console
from toy_evaluation import few_shot, retrieval, toy_evaluation

from diptych.pipeline.runs.outcome import PushedVersion
from diptych.pipeline.runs.run_summary import Summary, show
from diptych.schemas.balance import ClassBalance, SplitBalance, Spread
from diptych.schemas.evaluation import Estimate, Rule, Slice
from diptych.schemas.shards import SPLITS, InputShape, Manifest

LOWERED = "pairs.classes_per_batch is 8, but there are 5 classes: batches hold all of them."


def manifest(num_examples, num_same, num_different):
    return Manifest(
        input=InputShape(kind="vector", shape=(3,)),
        num_shards=1,
        num_batches=1,
        num_examples=num_examples,
        num_placed=num_examples,
        num_classes=0,
        num_singletons=0,
        num_same=num_same,
        num_different=num_different,
        num_triplets=num_same,
        batches_per_shard=(1,),
    )


def balance(split, notes=(), **changes):
    classes = ClassBalance(
        num_classes=123_456,
        num_singletons=98_765,
        num_uncovered=0,
        examples=Spread(min=1, median=9_999.0, max=12_345_678),
        pairs=Spread(min=10_000, median=654_321.5, max=9_876_543_210),
        weight=Spread(min=0.5, median=1.0, max=2.0),
    )
    values = {
        "split": split,
        "policy": "natural",
        "rounds": 2,
        "num_examples": 1_234_567,
        "num_given_pairs": None,
        "num_same": 4,
        "num_different": 4,
        "different_per_same": 1.0,
        "repeats_mean": 7.168,
        "repeats_max": 18,
        "coverage": 0.99999,
        "num_uncovered": 1,
        "classes": classes,
        "notes": notes,
    }
    return SplitBalance(**{**values, **changes})


def shown(balances, **changes):
    values = {
        "manifests": {split: manifest(1_234_567, 12_345_678, 12_345_678) for split in SPLITS},
        "difficulty": "random",
        "balance": balances,
        "num_rejected": 0,
        "num_read": 9,
        "rejected": Path("rejected"),
        "left_out": {},
        "drift": "",
        "evaluation": toy_evaluation(),
        "curves": Path("curves"),
        "pushed": None,
        "rolled_back": None,
    }
    text = io.StringIO()
    # As the console of a run is where its output goes to a file.
    console = Console(file=text, highlight=False, soft_wrap=True, width=80)
    show(Summary(**{**values, **changes}), Path("report.html"), console)
    return text.getvalue()


def lines_of(word, text):
    return [line for line in text.splitlines() if line.startswith(word)]


def row(text, table, split="train"):
    lines = text.split(table, 1)[1].splitlines()
    return next(line for line in lines if line.startswith(split)).split()[1:]


def test_the_tables_fit_in_80_columns_for_millions_of_examples():
    text = shown({split: balance(split) for split in SPLITS})
    tables = text.split("Set aside")[0]
    assert max(len(line.rstrip()) for line in tables.splitlines()) <= 80
    assert "…" not in tables
    assert row(text, "split") == (
        ["1,234,567", "123,456", "98,765", "12,345,678", "12,345,678", "12,345,678"]
    )
    assert " ".join(row(text, "balance")) == (
        "1 / 9,999 / 12.3M 10.0k / 654k / 9.9G 7.2 / 18 99.9 %"
    )


def test_of_data_that_came_in_pairs_nothing_is_said_of_classes():
    text = shown({split: balance(split, classes=None, coverage=1.0) for split in SPLITS})
    assert row(text, "split")[1:3] == ["-", "-"]
    assert row(text, "balance") == ["-", "-", "7.2", "/", "18", "100.0", "%"]


@pytest.mark.parametrize(
    ("notes", "line"),
    [
        (
            ((LOWERED,), (LOWERED,), (LOWERED,)),
            f"Note          train, calibration, test: {LOWERED}",
        ),
        (((), (LOWERED, "[b]"), ()), f"Note          calibration: {LOWERED}"),
        (((), (LOWERED, "[b]"), ()), "Note          calibration: [b]"),
    ],
)
def test_a_note_is_said_once_with_its_splits(notes, line):
    balances = {split: balance(split, some) for split, some in zip(SPLITS, notes, strict=True)}
    assert shown(balances).splitlines().count(line) == 1


def test_a_span_that_is_left_out_is_said_with_its_reason_and_how_far_the_newest_is():
    balances = {split: balance(split) for split in SPLITS}
    text = shown(
        balances, left_out={"2026-11-20": "5 of 9 [rows]"}, drift="2026-11-21, farthest: a"
    )
    assert lines_of("Left out", text) == ["Left out      the span 2026-11-20: 5 of 9 [rows]"]
    assert lines_of("Newest span", text) == ["Newest span   2026-11-21, farthest: a"]
    text = shown(balances)
    assert not lines_of("Left out", text) + lines_of("Newest span", text)


def test_figures_are_said_with_their_intervals_and_the_verdict_with_its_rules():
    missed = Rule(
        name="recall", figure=0.7, bar=0.9, better="higher", holds=False, text="recall is [low]"
    )
    figures = toy_evaluation(
        blessed=False, rules=(*toy_evaluation().rules, missed), collapse="all are the same"
    )
    text = shown({split: balance(split) for split in SPLITS}, evaluation=figures)
    assert lines_of("Accuracy", text) == [
        "Accuracy      85.00% (84.00% to 86.00%) at the fixed threshold 0.500",
        "Accuracy      90.00% (89.00% to 91.00%) at the calibrated threshold 0.700",
    ]
    assert lines_of("ROC AUC", text) == [
        "ROC AUC       0.9500, equal error rate 12.00% (11.00% to 13.00%), on 10 test pairs"
    ]
    verdict = text[text.index("Verdict") : text.index("Model")]
    assert verdict.splitlines() == [
        "Verdict       not blessed: recall is [low]",
        "              accuracy 90.00% reaches the bar of 80.00%",
    ]
    assert lines_of("Collapse", text) == ["Collapse      all are the same"]
    assert lines_of("Report", text) == ["Report        report.html"]
    assert lines_of("Curves", text) == ["Curves        tensorboard --logdir curves"]


def test_one_shot_figures_are_said_of_seen_and_of_unseen_classes():
    whole, shots = toy_evaluation().all, (few_shot(5, 1, 0.8), few_shot(5, 5, 0.9))
    slices = (
        whole.model_copy(update={"retrieval": retrieval(0.7), "few_shot": shots}),
        Slice(name="seen", few_shot=(few_shot(5, 1, 0.85), few_shot(20, 1, 0.6))),
        Slice(name="unseen", few_shot=(few_shot(5, 1, 0.75),)),
    )
    balances = {split: balance(split) for split in SPLITS}
    text = shown(balances, evaluation=toy_evaluation(slices=slices))
    assert lines_of("Recall@1", text) == ["Recall@1      70.00% (69.00% to 71.00%), 1,234 queries"]
    assert lines_of("One-shot", text) == [
        "One-shot      85.00% (84.00% to 86.00%) 5-way, 60.00% (59.00% to 61.00%) 20-way, "
        "seen classes",
        "One-shot      75.00% (74.00% to 76.00%) 5-way, unseen classes",
    ]
    alone = shown(balances, evaluation=toy_evaluation(slices=slices[:1]))
    assert lines_of("One-shot", alone) == [
        "One-shot      80.00% (79.00% to 81.00%) 5-way, all classes"
    ]


def test_a_figure_that_does_not_exist_is_a_dash_and_one_without_interval_stands_alone():
    pairs = toy_evaluation().pairs.model_copy(
        update={"roc_auc": Estimate(value=None), "equal_error_rate": Estimate(value=0.5)}
    )
    figures = toy_evaluation(slices=(Slice(name="all", verification=pairs),))
    text = shown({split: balance(split) for split in SPLITS}, evaluation=figures)
    assert lines_of("ROC AUC", text) == [
        "ROC AUC       -, equal error rate 50.00%, on 10 test pairs"
    ]


@pytest.mark.parametrize(
    ("there", "rolled_back", "line"),
    [
        (True, False, "/s/17"),
        (False, False, "/s/17 (no longer there)"),
        (False, True, "/s/17 (rolled back)"),
    ],
)
def test_the_pushed_model_is_named_and_whether_it_is_still_there(there, rolled_back, line):
    pushed = PushedVersion(Path("/s/17"), there, there, rolled_back)
    text = shown({split: balance(split) for split in SPLITS}, pushed=pushed)
    assert lines_of("Model", text) == [f"Model         {line}"]


def test_a_model_that_was_rolled_back_before_is_said_not_to_be_pushed_again():
    text = shown({split: balance(split) for split in SPLITS}, rolled_back="17")
    assert lines_of("Model", text) == [
        "Model         not pushed: it was version 17, which was rolled back"
    ]
