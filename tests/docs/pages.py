"""The code blocks of the README and the documentation pages."""

import dataclasses
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
_FENCE = re.compile(r"^( *)```(\w*).*?$\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
_INDENTED = re.compile(r"(?:^(?: {4}|\t).*\n)+", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class Block:
    """A code block of a page; an indented block has no language."""

    language: str
    text: str


def blocks_of(page: Path) -> list[Block]:
    """All code blocks of a page, fenced ones in their order first."""
    text = page.read_text(encoding="utf-8")
    fenced = [Block(match[2], _dedented(match[3], match[1])) for match in _FENCE.finditer(text)]
    rest = _FENCE.sub("", text)
    return fenced + [Block("", match[0]) for match in _INDENTED.finditer(rest)]


def commands_of(page: Path) -> list[str]:
    """Every line of a page that starts ``diptych`` or ``make``, with continued lines joined."""
    lines = []
    for block in blocks_of(page):
        for line in block.text.replace("\\\n", " ").splitlines():
            command = line.strip().removeprefix("$ ")
            if re.match(r"(\.venv/bin/)?(diptych|make) \S", command):
                lines.append(command.removeprefix(".venv/bin/"))
    return lines


def _dedented(text: str, indent: str) -> str:
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))
