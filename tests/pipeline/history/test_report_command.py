"""``diptych report``: which report is meant, and what is said where there is none."""

import pytest
from click.testing import CliRunner

from diptych.pipeline.cli import main


@pytest.fixture
def report(toy_root):
    def call(*arguments):
        return CliRunner().invoke(main, ["report", "--root", str(toy_root), *arguments])

    return call


def test_a_report_that_is_there_is_named_and_not_built_again(report, toy_root):
    path = toy_root / "runs" / "2026-11-05_010000" / "report.html"
    path.parent.mkdir(parents=True)
    path.write_text("as it was")
    for name in ("latest", "2026-11-05"):
        assert report(name).output == f"{path}\n"
    assert report().output == f"{path}\n"
    assert path.read_text() == "as it was"


@pytest.mark.parametrize(
    ("run", "words"),
    [
        ("2026-11-02_020000", "the run 2026-11-02_020000 came to Trainer (failed)"),
        ("2026-11-02_030000", "the run 2026-11-02_030000 came to Trainer (broken off)"),
        ("2027", "no run begins with '2027'"),
    ],
)
def test_of_a_run_that_was_not_evaluated_there_is_none(report, run, words):
    done = report(run)
    assert done.exit_code == 1
    assert done.output.startswith("Error: ")
    assert words in done.output
    assert done.output.count("\n") == 1
