"""Spans: data that arrive in batches, each in a separate folder or file.

``data.path`` names them with the patterns of TFX: ``{SPAN}``, a number, or ``{YYYY}``, ``{MM}`` and
``{DD}``, a date; and ``{VERSION}``, of which the newest is used. ``{SPAN:3}`` has three digits.

This module imports nothing heavy: nightly runs call it first, to find out whether data are new.
"""

import dataclasses
import datetime
import fnmatch
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from diptych.components.common.data_files import split_existing_folder
from diptych.schemas.errors import ConfigError, DataError

_TOKEN = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)(?::([^{}]*))?\}")
_DATE_DIGITS = {"YYYY": 4, "MM": 2, "DD": 2}
_EPOCH = datetime.date(1970, 1, 1)


@dataclasses.dataclass(frozen=True, order=True)
class Span:
    """One version of a span.

    Attributes:
      number: As in TFX: the number in the path, or the days from 1970-01-01 to the date.
      version: None if the path has no versions, or this span has no version yet.
      name: ``2026-11-21``, or the number; the same for every version.
      path: ``data.path`` with the patterns filled in for this span.
    """

    number: int
    version: int | None
    name: str
    path: str


def has_spans(path: str) -> bool:
    """Return whether a path has span patterns that are not part of the name of a file or folder."""
    return _TOKEN.search(split_existing_folder(path)[1]) is not None and not os.path.lexists(path)


def guess_span_pattern(folder: str) -> str | None:
    """Guess the pattern if all subfolders are named by a date, such as ``span-2026-11-21``.

    The pattern ends with ``v{VERSION}`` if all subfolders of the newest one are named so.
    """
    names = _list_subfolders(folder)
    matches = [re.fullmatch(r"(.*?)[0-9]{4}-[0-9]{2}-[0-9]{2}", name) for name in names]
    prefixes = {match and match[1] for match in matches}
    if len(prefixes) != 1 or None in prefixes:
        return None
    pattern = os.path.join(folder, f"{prefixes.pop()}{{YYYY}}-{{MM}}-{{DD}}")
    versions = _list_subfolders(os.path.join(folder, names[-1]))
    if versions and all(re.fullmatch(r"v[0-9]+", name) for name in versions):
        return os.path.join(pattern, "v{VERSION}")
    return pattern


def _list_subfolders(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and entry.name[0] != ".")


def find_spans(path: str, window: int | None = None) -> tuple[Span, ...]:
    """Find spans by name. An empty folder is a span too.

    Names must match completely: ``.span-3`` and ``span-3.part`` are ignored.

    Args:
      path: Path with span patterns; wildcards are allowed anywhere.
      window: Number of newest spans to return; gaps do not count. None returns all.

    Returns:
      The newest version of each span, newest span last; at least one.

    Raises:
      ConfigError: If the patterns contradict each other, or nothing matches them.
      DataError: If a name has an invalid date, or two paths are the same span.
    """
    folder, pattern = split_existing_folder(path)
    digits = _parse_patterns(pattern)
    versions_by_number: dict[int, dict[int | None, Span]] = {}
    for texts in _match_path(Path(pattern).parts, digits, {}, folder):
        span = _build_span(folder, pattern, texts)
        versions = versions_by_number.setdefault(span.number, {})
        first = versions.setdefault(span.version, span)
        if first != span:
            raise DataError(
                f"Two paths are the same span, {span.name}: {first.path} and {span.path}. "
                "Remove one."
            )
    if not versions_by_number:
        raise ConfigError(
            f"No spans found: nothing matches data.path {path}. Check the pattern, or wait for the "
            "first span."
        )
    newest = [
        max(versions_by_number[number].values(), key=_version_order)
        for number in sorted(versions_by_number)
    ]
    return tuple(newest[-window:] if window else newest)


def _version_order(span: Span) -> int:
    return -1 if span.version is None else span.version  # older than any version


def _parse_patterns(path: str) -> dict[str, int | None]:
    """Return the number of digits of each pattern; None means any number.

    Rejects the combinations that TFX rejects.
    """
    tokens = _TOKEN.findall(path)
    names = [name for name, _ in tokens]
    dates = [name for name in names if name in _DATE_DIGITS]
    if "SPAN" in names and dates:
        problem = "{SPAN} and a date cannot be combined; use one of them"
    elif len(set(names)) < len(names):
        problem = "each pattern may occur only once"
    elif dates and len(dates) < len(_DATE_DIGITS):
        problem = "a date needs all of {YYYY}, {MM} and {DD}"
    elif not dates and "SPAN" not in names:
        problem = "{VERSION} needs a span; add {SPAN}, or {YYYY}, {MM} and {DD}"
    elif any(":" in token for token in re.findall(r"\{(?:YYYY|MM|DD)[^{}]*\}", path)):
        problem = "parts of a date have a fixed width; write {YYYY}, {MM} and {DD}"
    elif re.search(r"\{(SPAN|VERSION):(?![1-9][0-9]*\})", path):
        problem = "a width must be an integer above 0, as in {SPAN:3}"
    else:
        return {
            name: _DATE_DIGITS.get(name, int(width) if width else None) for name, width in tokens
        }
    raise ConfigError(f"data.path {path}: {problem}.")


def _match_path(
    parts: tuple[str, ...],
    digits: Mapping[str, int | None],
    matched: dict[str, str],
    folder: str,
) -> Iterator[dict[str, str]]:
    """Yield the text of each pattern for every path that matches.

    A span whose folder contains no version is yielded without one.

    Args:
      parts: Remaining parts of the path.
      digits: Number of digits of each pattern.
      matched: Texts of the patterns in the parts above.
      folder: Folder to search.
    """
    if not any(_TOKEN.search(part) for part in parts):
        yield matched
        return
    part, *rest = parts
    if part == "**":
        raise ConfigError("data.path: ** is allowed only after the span patterns.")
    entries = list(_match_entries(folder, part, digits, bool(rest)))
    for name, texts in entries:
        yield from _match_path(
            tuple(rest), digits, {**matched, **texts}, os.path.join(folder, name)
        )
    if not entries and matched.keys() >= digits.keys() - {"VERSION"}:
        yield matched


def _match_entries(
    folder: str, part: str, digits: Mapping[str, int | None], is_folder: bool
) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the names in a folder that match one part of the path, and the pattern texts."""
    if not _TOKEN.search(part):
        is_literal = os.path.isdir(os.path.join(folder, part))
        if is_literal:  # wins over wildcards
            yield part, {}
        if is_literal or not re.search(r"[*?\[]", part):
            return
    expression = re.compile(_to_regex(part, digits))
    try:
        with os.scandir(folder or ".") as entries:
            names = sorted(
                (entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")
            )
    except OSError as error:
        raise ConfigError(f"data.path: cannot read {folder}: {error.strerror}.") from error
    for name, is_dir in names:
        match = expression.fullmatch(name)
        if match and (is_dir or not is_folder):
            yield name, match.groupdict()


def _to_regex(part: str, digits: Mapping[str, int | None]) -> str:
    """Convert one part of the path to a regular expression. Only ASCII digits match."""
    pieces, at = [], 0
    for token in _TOKEN.finditer(part):
        num_digits = digits[token[1]]
        repeat = f"{{{num_digits}}}" if num_digits else "+"
        pieces += [_wildcards_to_regex(part[at : token.start()]), f"(?P<{token[1]}>[0-9]{repeat})"]
        at = token.end()
    return "".join([*pieces, _wildcards_to_regex(part[at:])])


def _wildcards_to_regex(text: str) -> str:
    return fnmatch.translate(text).removesuffix(r"\Z")


def _build_span(folder: str, pattern: str, texts: Mapping[str, str]) -> Span:
    name = _TOKEN.sub(lambda token: texts.get(token[1], token[0]), pattern)
    span_path = os.path.join(folder, name)
    version = int(texts["VERSION"]) if "VERSION" in texts else None
    if "SPAN" in texts:
        number = int(texts["SPAN"])
        return Span(number, version, str(number), span_path)
    try:
        date = datetime.date(*(int(texts[name]) for name in _DATE_DIGITS))
    except ValueError as error:
        raise DataError(
            f"{span_path} has an invalid date, {'-'.join(texts[n] for n in _DATE_DIGITS)}. "
            "Rename or remove it."
        ) from error
    return Span((date - _EPOCH).days, version, date.isoformat(), span_path)
