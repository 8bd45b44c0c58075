"""Write the reference of the commands, ``docs/commands.md``, from their help.

python -m diptych.cli.reference docs/commands.md
"""

import inspect
import sys
from pathlib import Path

import click

from diptych.cli.main import main

_INTRODUCTION = """\
# Commands

This page is generated from the help of the commands: `diptych COMMAND --help` prints the same.

Every command exits with 0 on success, 1 after an error, which is printed to standard error on one
line, and 2 for wrong arguments. `diptych run --nightly` has further exit codes.

## Shell completion

Click completes commands, options and paths. Add one line to the start file of your shell:

| Shell | Line | File |
|---|---|---|
| bash | `eval "$(_DIPTYCH_COMPLETE=bash_source diptych)"` | `~/.bashrc` |
| zsh | `eval "$(_DIPTYCH_COMPLETE=zsh_source diptych)"` | `~/.zshrc` |
| fish | `_DIPTYCH_COMPLETE=fish_source diptych \\| source` | `~/.config/fish/config.fish` |
"""


def render_command_reference() -> str:
    """Render the reference as Markdown: a chapter per section, a part per command."""
    lines = [_INTRODUCTION]
    for title, commands in main.sections.items():
        lines.append(f"## {title}\n")
        for command in commands:
            lines += _render_command(command)
    return "\n".join(lines).rstrip() + "\n"


def _render_command(command: click.Command) -> list[str]:
    context = click.Context(command, info_name=f"diptych {command.name}")
    usage = " ".join(command.collect_usage_pieces(context))
    lines = [f"### diptych {command.name}\n", f"    diptych {command.name} {usage}\n"]
    lines.append(f"{inspect.cleandoc(command.help or '')}\n")
    options = [each for each in command.params if isinstance(each, click.Option)]
    if options:
        lines += ["| Option | Meaning |", "|---|---|"]
        for option in options:
            record = option.get_help_record(context)
            if record is not None:
                name, meaning = (part.replace("|", "\\|") for part in record)
                lines.append(f"| `{name}` | {' '.join(meaning.split())} |")
        lines.append("")
    return lines


def write_command_reference(path: Path) -> None:
    """Write the reference to a file."""
    path.write_text(render_command_reference(), encoding="utf-8")


if __name__ == "__main__":
    write_command_reference(Path(sys.argv[1]))
