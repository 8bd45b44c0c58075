"""The help of the program, and the reference that is generated from it."""

from pathlib import Path

import click
import pytest

from diptych.cli.main import main
from diptych.cli.reference import render_command_reference, write_command_reference

DOCS = Path(__file__).parents[2] / "docs"


def test_the_help_lists_all_commands_in_sections(diptych):
    shown = diptych("--help").output
    titles = ("Configuration:", "Pipeline:", "Runs:", "Model:")
    places = [shown.index(title) for title in titles]
    assert places == sorted(places)
    assert shown.index("  run ") < shown.index("Runs:") < shown.index("  compare-runs ")
    assert shown.index("  init ") < shown.index("Pipeline:")  # the first command on own data
    assert shown.index("Model:") < shown.index("  serve ")
    assert sum(map(len, main.sections.values())) == len(main.commands)
    assert "..." not in shown.partition("Configuration:")[2]  # no summary is cut short
    assert max(map(len, shown.splitlines())) <= 80


@pytest.mark.parametrize("name", main.commands)
def test_each_command_and_option_has_a_help(name):
    command = main.commands[name]
    assert command.help
    assert all(
        option.help or option.hidden
        for option in command.params
        if isinstance(option, click.Option)
    )


def test_the_reference_in_the_documentation_is_that_of_the_commands(tmp_path):
    write_command_reference(tmp_path / "commands.md")
    assert (tmp_path / "commands.md").read_text() == render_command_reference()
    assert (DOCS / "commands.md").read_text(encoding="utf-8") == render_command_reference(), (
        "Run: python -m diptych.cli.reference docs/commands.md"
    )
    for name in main.commands:
        assert f"\n### diptych {name}\n" in render_command_reference()


def test_contradicting_options_are_refused(diptych):
    assert "requires --nightly" in diptych("run", "config.yaml", "--until", "Trainer").output
    assert "not both" in diptych("run", "config.yaml", "--nightly", "--dry-run").output
