import os

import click
import pytest

from diptych.cli.quiet import quietly
from diptych.schemas.errors import DataError


def test_noise_is_kept_off_and_progress_is_shown(capfd):
    with quietly() as console:
        os.write(2, b"from C++\n")
        console.print("half done")
        print("a result")
    os.write(2, b"afterwards\n")
    out, err = capfd.readouterr()
    assert (out, err) == ("a result\n", "half done\nafterwards\n")


def test_an_error_for_people_is_a_line(capfd):
    with pytest.raises(click.ClickException, match=r"^No such bird\.$"), quietly():
        os.write(2, b"from C++\n")
        raise DataError("No such bird.")
    assert capfd.readouterr().err == ""


def test_another_error_comes_with_the_noise_that_may_explain_it(capfd):
    with pytest.raises(RuntimeError, match="unforeseen"), quietly():
        os.write(2, b"from C++\n")
        raise RuntimeError("unforeseen")
    assert capfd.readouterr().err == "from C++\n"
