import io
from pathlib import Path

import pytest
from rich.console import Console
from toy_evaluation import few_shot, given_pairs, raw_distance, retrieval, toy_evaluation

from diptych.cli.run_summary import print_run_summary
from diptych.pipeline.runs.outcome import PushedVersion
from diptych.pipeline.runs.run_summary import RunSummary
from diptych.schemas.balance import ClassBalance, SplitBalance, Spread
from diptych.schemas.data_report import Corrections, DataReport, DuplicateCounts
from diptych.schemas.evaluation import Check, Estimate, LabelErrorSummary, Slice
from diptych.schemas.rejected_rows import ReasonCount
from diptych.schemas.shards import SPLITS, InputShape, SplitManifest

NOTE = "pairs.classes_per_batch is 8, but there are 5 classes: batches hold all of them."


def manifest(num_examples, num_positive, num_negative):
    return SplitManifest(
        input=InputShape(kind="vector", shape=(3,)),
        num_shards=1,
        num_batches=1,
        num_examples=num_examples,
        num_rows=num_examples,
        num_classes=0,
        num_singletons=0,
        num_positive=num_positive,
        num_negative=num_negative,
        num_triplets=num_positive,
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
        "sampling": "natural",
        "rounds": 2,
        "num_examples": 1_234_567,
        "num_given_pairs": None,
        "num_positive": 4,
        "num_negative": 4,
        "num_distinct_positive": 12_345,
        "negatives_per_positive": 1.0,
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
        "negatives": "random",
        "balance": balances,
        "num_rejected": 0,
        "num_read": 9,
        "rejected": Path("rejected"),
        "ignored": {},
        "findings": {},
        "data_report": DataReport(num_examples=(3, 3, 3)),
        "skipped_spans": {},
        "drift": "",
        "evaluation": toy_evaluation(),
        "evaluation_folder": Path("evaluation"),
        "curves": Path("curves"),
        "pushed": None,
        "rolled_back": None,
    }
    text = io.StringIO()
    # Like the console of a run whose output goes to a file.
    console = Console(file=text, highlight=False, soft_wrap=True, width=80)
    print_run_summary(RunSummary(**{**values, **changes}), Path("report.html"), console)
    return text.getvalue()


def lines_of(word, text):
    return [line for line in text.splitlines() if line.startswith(word)]


def row(text, table, split="train"):
    lines = text.split(table, 1)[1].splitlines()
    return next(line for line in lines if line.startswith(split)).split()[1:]


def test_the_tables_fit_in_80_columns_for_millions_of_examples():
    text = shown({split: balance(split) for split in SPLITS})
    tables = text.split("Rejected")[0]
    assert max(len(line.rstrip()) for line in tables.splitlines()) <= 80
    assert "…" not in tables
    assert row(text, "split") == (
        ["1,234,567", "123,456", "98,765", "12,345,678", "12,345,678", "12,345,678"]
    )
    assert " ".join(row(text, "balance")) == (
        "1 / 9,999 / 12.3M 10.0k / 654k / 9.9G 7.2 / 18 99.9 %"
    )


def test_given_pairs_have_no_class_counts():
    text = shown({split: balance(split, classes=None, coverage=1.0) for split in SPLITS})
    assert row(text, "split")[1:3] == ["-", "-"]
    assert row(text, "balance") == ["-", "-", "7.2", "/", "18", "100.0", "%"]


def test_the_distinct_positive_pairs_have_a_line():
    text = shown({split: balance(split) for split in SPLITS})
    expected = "Distinct      positive pairs: train 12,345, calibration 12,345, test 12,345"
    assert lines_of("Distinct", text) == [expected]


def test_duplicates_leaks_conflicts_and_corrections_each_have_a_line():
    balances = {split: balance(split) for split in SPLITS}
    assert lines_of("Duplicates", shown(balances)) == ["Duplicates    none"]
    assert not lines_of("Leaks", shown(balances)) + lines_of("Conflicts", shown(balances))
    report = DataReport(
        num_examples=(60, 20, 20),
        num_moved=3,
        duplicates=(DuplicateCounts(kind="near", groups=4, examples=9, groups_across_splits=1),),
        num_conflicts=2,
        num_leaked=5,
        corrections=Corrections(num_relabelled=1, num_removed=2, num_unknown=1, unknown=("[b]",)),
    )
    lines = shown(balances, data_report=report).splitlines()
    at = lines.index(
        "Duplicates    9 examples in 4 groups (near-duplicate images), 3 moved to the split of "
        "their duplicates"
    )
    assert lines[at + 1 : at + 4] == [
        "Leaks         5 of 20 test examples (25.0%) have a duplicate in the training split",
        "Conflicts     2 examples rejected: the same content has another label",
        "Corrections   1 labels corrected, 2 removed, 1 rows of data.corrections match no example: "
        "[b]",
    ]


def test_ignored_data_and_findings_show_count_reason_and_an_example():
    balances = {split: balance(split) for split in SPLITS}
    assert not lines_of("Ignored", shown(balances)) + lines_of("Data", shown(balances))
    text = shown(
        balances,
        ignored={
            "not an image": ReasonCount(count=1, source="README.md"),
            "text column": ReasonCount(count=3, source="[b]"),
        },
        findings={f"finding {n}": ReasonCount(count=1200 - n, source=f"{n}.png") for n in range(5)},
    )
    lines = text.splitlines()
    at = lines.index("Ignored       3 x text column (such as [b])")
    assert lines[at + 1 : at + 6] == [
        "              1 x not an image (README.md)",
        "Data          1,200 x finding 0 (such as 0.png)",
        "              1,199 x finding 1 (such as 1.png)",
        "              1,198 x finding 2 (such as 2.png)",
        "              2 more reasons: see the report",
    ]


@pytest.mark.parametrize(
    ("notes", "line"),
    [
        (
            ((NOTE,), (NOTE,), (NOTE,)),
            f"Note          train, calibration, test: {NOTE}",
        ),
        (((), (NOTE, "[b]"), ()), f"Note          calibration: {NOTE}"),
        (((), (NOTE, "[b]"), ()), "Note          calibration: [b]"),
    ],
)
def test_a_note_is_printed_once_with_its_splits(notes, line):
    balances = {split: balance(split, some) for split, some in zip(SPLITS, notes, strict=True)}
    assert shown(balances).splitlines().count(line) == 1


def test_skipped_spans_and_the_drift_of_the_newest_span_are_printed():
    balances = {split: balance(split) for split in SPLITS}
    text = shown(
        balances, skipped_spans={"2026-11-20": "5 of 9 [rows]"}, drift="2026-11-21, farthest: a"
    )
    assert lines_of("Skipped", text) == ["Skipped       span 2026-11-20: 5 of 9 [rows]"]
    assert lines_of("Newest span", text) == ["Newest span   2026-11-21, farthest: a"]
    text = shown(balances)
    assert not lines_of("Skipped", text) + lines_of("Newest span", text)


def test_metrics_have_intervals_and_the_verdict_lists_its_checks():
    failed = Check(
        name="recall",
        value=0.7,
        requirement=0.9,
        better="higher",
        passed=False,
        text="recall is [low]",
    )
    report = toy_evaluation(
        blessed=False, checks=(*toy_evaluation().checks, failed), collapse="all are the same"
    )
    text = shown({split: balance(split) for split in SPLITS}, evaluation=report)
    assert lines_of("Accuracy", text) == [
        "Accuracy      85.00% (84.00% to 86.00%) at the fixed threshold 0.500",
        "Accuracy      90.00% (89.00% to 91.00%) at the calibrated threshold 0.700",
    ]
    assert lines_of("ROC AUC", text) == [
        "ROC AUC       0.9500, equal error rate 12.00% (11.00% to 13.00%), on 10 test pairs"
    ]
    assert text.splitlines()[1] == "Not blessed   recall is [low]"  # the first line
    verdict = text[text.index("Verdict") : text.index("Model")]
    assert verdict.splitlines() == [
        "Verdict       not blessed: recall is [low]",
        "              accuracy 90.00% meets the requirement of at least 80.00%",
    ]
    assert lines_of("Collapse", text) == ["Collapse      all are the same"]
    assert lines_of("Report", text) == ["Report        report.html"]
    assert lines_of("Curves", text) == ["Curves        tensorboard --logdir curves"]


def test_the_baseline_is_printed_next_to_the_metrics_of_the_model():
    balances = {split: balance(split) for split in SPLITS}
    text = shown(balances)
    assert lines_of("Baseline", text) == [
        "Baseline      60.00% (59.00% to 61.00%) without learning, ROC AUC 0.6500: plain distance "
        "between inputs"
    ]
    assert not lines_of("Not blessed", text)
    report = toy_evaluation(raw_distance=raw_distance(0.6, recall_at_1=Estimate(value=0.5)))
    (line,) = lines_of("Baseline", shown(balances, evaluation=report))
    assert "ROC AUC 0.6500, Recall@1 50.00%: plain distance" in line


def test_given_pairs_are_printed_with_folds_and_leaks():
    balances = {split: balance(split) for split in SPLITS}

    def lines(**changes):
        text = shown(balances, evaluation=toy_evaluation(given_pairs=given_pairs(**changes)))
        return text[text.index("Given pairs") : text.index("Model")].splitlines()

    first = "Given pairs   75.00% accuracy over 2 folds, standard error 2.00%"
    metrics = (
        "90.00% (89.00% to 91.00%) accuracy at the calibrated threshold, ROC AUC 0.9500, equal "
        "error rate 12.00% (11.00% to 13.00%), 10 pairs of lists/pairs.txt"
    )
    assert lines() == [first, f"              {metrics}"]
    assert lines(folds=None) == [f"Given pairs   {metrics}"]
    leaked = lines(leaked_pairs=3, leaked_examples=2, notes=("1 [given] pair is left out.",))
    assert leaked[2:] == [
        "              3 of 9 pairs have an example of the training split: their distances are not "
        "those of new data",
        "              1 [given] pair is left out.",
    ]
    assert not lines_of("Given pairs", shown(balances))


def test_suspected_label_errors_are_printed_with_their_file():
    balances = {split: balance(split) for split in SPLITS}
    summary = LabelErrorSummary(judged=1200, suspected=3, agreement=0.9)
    text = shown(balances, evaluation=toy_evaluation(label_errors=summary))
    assert lines_of("Labels", text) == [
        "Labels        3 of 1,200 labels contradict their neighbours, see "
        "evaluation/suspected_label_errors.csv"
    ]
    none = LabelErrorSummary(judged=1200, suspected=0, agreement=1.0)
    assert not lines_of("Labels", shown(balances, evaluation=toy_evaluation(label_errors=none)))
    assert not lines_of("Labels", shown(balances))


def test_one_shot_accuracy_is_printed_for_seen_and_unseen_classes():
    all_examples, shots = toy_evaluation().all, (few_shot(5, 1, 0.8), few_shot(5, 5, 0.9))
    slices = (
        all_examples.model_copy(update={"retrieval": retrieval(0.7), "few_shot": shots}),
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


def test_an_undefined_metric_is_a_dash_and_a_missing_interval_is_left_out():
    pairs = toy_evaluation().pairs.model_copy(
        update={"roc_auc": Estimate(value=None), "equal_error_rate": Estimate(value=0.5)}
    )
    report = toy_evaluation(slices=(Slice(name="all", verification=pairs),))
    text = shown({split: balance(split) for split in SPLITS}, evaluation=report)
    assert lines_of("ROC AUC", text) == [
        "ROC AUC       -, equal error rate 50.00%, on 10 test pairs"
    ]


@pytest.mark.parametrize(
    ("exists", "rolled_back", "line"),
    [
        (True, False, "/s/17"),
        (False, False, "/s/17 (deleted)"),
        (False, True, "/s/17 (rolled back)"),
    ],
)
def test_the_pushed_model_is_shown_with_its_state(exists, rolled_back, line):
    pushed = PushedVersion(Path("/s/17"), exists, exists, rolled_back)
    text = shown({split: balance(split) for split in SPLITS}, pushed=pushed)
    assert lines_of("Model", text) == [f"Model         {line}"]


def test_a_model_that_was_rolled_back_is_not_pushed_again():
    text = shown({split: balance(split) for split in SPLITS}, rolled_back="17")
    assert lines_of("Model", text) == ["Model         not pushed: version 17 was rolled back"]
