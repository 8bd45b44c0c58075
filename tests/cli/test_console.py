import logging
import os

import click
import pytest

from diptych.cli.console import ConsoleReporter, hide_library_output, redirect_output
from diptych.pipeline.progress import SilentReporter, forward_progress
from diptych.schemas.errors import DataError


def test_library_output_is_hidden_and_progress_is_shown(capfd):
    with hide_library_output() as console:
        os.write(2, b"from C++\n")
        console.print("half done")
        print("a result")
    os.write(2, b"afterwards\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("a result\n", "half done\nafterwards\n")


def test_a_diptych_error_is_one_line(capfd):
    with pytest.raises(click.ClickException, match=r"^No such bird\.$"), hide_library_output():
        os.write(2, b"from C++\n")
        raise DataError("No such bird.")
    assert capfd.readouterr().err == ""


def test_an_unexpected_error_shows_the_hidden_output(capfd):
    with pytest.raises(RuntimeError, match="unforeseen"), hide_library_output():
        os.write(2, b"from C++\n")
        raise RuntimeError("unforeseen")
    assert capfd.readouterr().err == "from C++\n"


def test_library_output_goes_to_the_log(capfd, tmp_path):
    with redirect_output(tmp_path / "log.txt") as console:
        os.write(1, b"from C++\n")
        os.write(2, b"from another process\n")
        console.print("a step")
    print("afterwards")
    out, err = capfd.readouterr()
    assert (out, err) == ("a step\nafterwards\n", "")
    assert (tmp_path / "log.txt").read_text() == "from C++\nfrom another process\n"


def test_without_a_terminal_each_step_is_a_line(capfd, tmp_path):
    reporter = ConsoleReporter()
    reporter.warn("before")
    with reporter.begin_run("toy", tmp_path, tmp_path / "log.txt"):
        reporter.start_step("Trainer")
        reporter.update("epoch 1")
        reporter.note("a note [b]")
        reporter.complete("Trial 1", 2.0, "done")
        reporter.warn("within")
        reporter.update("epoch 2")
        reporter.end_step()
        reporter.start_step("Pusher")
        reporter.end_step("failed")
    out, err = capfd.readouterr()
    lines = [line.split() for line in out.splitlines()]
    assert lines[0] == ["toy", "root", str(tmp_path)]
    assert [line for line in lines[1:] if line[0] not in ("Trainer", "Pusher")] == [
        ["a", "note", "[b]"],
        ["Trial", "1", "2.0", "s", "done"],
        ["Warning:", "within"],
    ]
    assert [line[0:1] + line[3:] for line in lines[4:]] == [
        ["Trainer", "epoch", "2"],
        ["Pusher", "failed"],
    ]
    assert err == "Warning: before\n"
    assert reporter.log == tmp_path / "log.txt"


def test_a_reporter_gets_the_messages_of_the_steps():
    calls = []

    class Recorder(SilentReporter):
        def update(self, message):
            calls.append(("update", message))

        def note(self, message):
            calls.append(("note", message))

    logger = logging.getLogger("diptych.progress")
    logger.setLevel(logging.INFO)
    with forward_progress(Recorder()):
        logger.info("epoch %d", 1)
        logger.info("weights kept", extra={"keep": True})
    logger.info("afterwards")
    assert calls == [("update", "epoch 1"), ("note", "weights kept")]
