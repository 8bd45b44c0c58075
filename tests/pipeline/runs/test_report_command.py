"""``diptych report``: select, build and open a report."""

import pytest
from click.testing import CliRunner

from diptych.cli.main import main


@pytest.fixture
def report(toy_root):
    def call(*arguments):
        return CliRunner().invoke(main, ["report", "--root", str(toy_root), *arguments])

    return call


def test_an_existing_report_is_printed_and_not_rebuilt(report, toy_root):
    path = toy_root / "runs" / "2026-11-05_010000" / "report.html"
    path.parent.mkdir(parents=True)
    path.write_text("existing")
    for name in ("latest", "2026-11-05"):
        assert report(name).output == f"{path}\n"
    assert report().output == f"{path}\n"
    assert path.read_text() == "existing"


@pytest.mark.parametrize(
    ("run", "message"),
    [
        ("2026-11-02_020000", "run 2026-11-02_020000 ended at Trainer (failed)"),
        ("2026-11-02_030000", "run 2026-11-02_030000 ended at Trainer (interrupted)"),
        ("2027", "No run matches '2027'"),
    ],
)
def test_a_run_without_an_evaluation_has_no_report(report, run, message):
    result = report(run)
    assert result.exit_code == 1
    assert result.output.startswith("Error: ")
    assert message in result.output
    assert result.output.count("\n") == 1


def test_the_browser_opens_on_request_and_not_in_a_pipe(report, toy_root, monkeypatch):
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


def test_rebuild_replaces_an_existing_report(report, toy_root, monkeypatch):
    path = toy_root / "runs" / "2026-11-01_010000" / "report.html"
    path.parent.mkdir(parents=True)
    path.write_text("existing")
    write_report = "diptych.pipeline.report.build.write_report"
    monkeypatch.setattr(write_report, lambda run, path: path.write_text(f"of {run.name}"))
    write_projector = "diptych.pipeline.report.projector.write_projector"
    monkeypatch.setattr(write_projector, lambda run, folder: folder.mkdir())
    report("2026-11-01_010000")
    assert path.read_text() == "existing"
    report("2026-11-01_010000", "--rebuild")
    assert path.read_text() == "of 2026-11-01_010000"
    assert (path.parent / "tensorboard").is_dir()
