"""Every command in the README and the documentation is one that exists, with options that exist."""

import re
import shlex

import click
import pytest
from pages import PAGES, ROOT, commands_of

from diptych.cli.main import main

GENERATED = ("commands.md",)  # its usage lines come from the commands themselves
COMMANDS = [
    (page.name, command)
    for page in PAGES
    if page.name not in GENERATED
    for command in commands_of(page)
]
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_pages_have_commands():
    assert len(COMMANDS) > 40
    assert {"README.md", "serving.md", "nightly.md"} <= {page for page, _ in COMMANDS}


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_the_command_and_its_options_exist(page, command):
    program, *words = shlex.split(command, comments=True)
    words = [word for word in words if word != "&"]
    if program == "make":
        targets = {word for word in words if "=" not in word}
        assert targets <= TARGETS | {"test-NAME", "bench-NAME"}, f"{page}: {command}"
        return
    if words[0].startswith("-"):  # options of the program itself
        assert words[0] in ("--help", "--version")
        return
    with click.Context(main) as context:
        name, found, arguments = main.resolve_command(context, words)
        try:
            found.make_context(name, arguments, parent=context)
        except click.UsageError as error:
            pytest.fail(f"{page}: {command}: {error.format_message()}")
