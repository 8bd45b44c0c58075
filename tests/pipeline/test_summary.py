import io
from pathlib import Path

import pytest
from rich.console import Console

from diptych.pipeline.summary import Summary, show
from diptych.schemas.balance import ClassBalance, SplitBalance, Spread
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


def shown(balances):
    figures = {"accuracy": 1.0, "threshold": 0.5, "interval": (1.0, 1.0)}
    summary = Summary(
        manifests={split: manifest(1_234_567, 12_345_678, 12_345_678) for split in SPLITS},
        difficulty="random",
        balance=balances,
        num_rejected=0,
        num_read=9,
        rejected=Path("rejected"),
        evaluation={
            **{"fixed": figures, "calibrated": figures, "roc_auc": 1.0, "pairs": 4},
            **{"blessed": True, "rules": []},
        },
        report=Path("report.md"),
        curves=Path("curves"),
        pushed=None,
    )
    text = io.StringIO()
    # As the console of a run is where its output goes to a file.
    show(summary, Console(file=text, highlight=False, soft_wrap=True, width=80))
    return text.getvalue()


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
