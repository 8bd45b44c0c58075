"""``diptych report``: which report is meant, and what is said where there is none."""

import pytest
from click.testing import CliRunner

from diptych.cli.main import main


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


def test_it_is_opened_where_that_is_asked_for_and_not_into_a_pipe(report, toy_root, monkeypatch):
    path = toy_root / "runs" / "2026-11-04_010000" / "report.html"
    path.parent.mkdir(parents=True)
    path.touch()
    opened = []
    monkeypatch.setattr("click.launch", opened.append)
    monkeypatch.setenv("DISPLAY", ":0")
    report("2026-11-04")
    report("2026-11-04", "--no-open")
    assert opened == []
    report("2026-11-04", "--open")
    assert opened == [str(path)]


def test_a_report_is_built_anew_if_asked_for(report, toy_root, monkeypatch):
    path = toy_root / "runs" / "2026-11-01_010000" / "report.html"
    path.parent.mkdir(parents=True)
    path.write_text("as it was")
    written = "diptych.pipeline.report.build.write_report"
    monkeypatch.setattr(written, lambda run, path: path.write_text(f"of {run.name}"))
    shown = "diptych.pipeline.report.projector.write_projector"
    monkeypatch.setattr(shown, lambda run, folder: folder.mkdir())
    report("2026-11-01_010000")
    assert path.read_text() == "as it was"
    report("2026-11-01_010000", "--rebuild")
    assert path.read_text() == "of 2026-11-01_010000"
    assert (path.parent / "tensorboard").is_dir()
