"""A click group whose help lists its commands in sections."""

import os
import sys
from typing import Any

import click


class SectionedGroup(click.Group):
    """A group of commands in titled sections, in the order in which they were added."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections: dict[str, list[click.Command]] = {}

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse arguments that are not valid text: no library takes such a path."""
        for argument in args:
            try:
                argument.encode()
            except UnicodeEncodeError:
                shown = os.fsencode(argument).decode(errors="backslashreplace")
                raise click.UsageError(
                    f"The argument {shown} is not valid {sys.getfilesystemencoding().upper()}. "
                    "Rename the file, or set a UTF-8 locale such as LC_ALL=C.UTF-8.",
                    ctx,
                ) from None
        return super().parse_args(ctx, args)

    def add_section(self, title: str, *commands: click.Command) -> None:
        """Add commands under a title."""
        for command in commands:
            self.add_command(command)
            self.sections.setdefault(title, []).append(command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(command.name or "") for command in self.commands.values())
        for title, commands in self.sections.items():
            with formatter.section(title):
                formatter.write_dl(
                    [
                        (f"{command.name:<{width}}", command.get_short_help_str(formatter.width))
                        for command in commands
                    ]
                )
