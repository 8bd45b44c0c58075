"""A click group whose help lists its commands in sections."""

from typing import Any

import click


class SectionedGroup(click.Group):
    """A group of commands in titled sections, in the order in which they were added."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.sections: dict[str, list[click.Command]] = {}

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
