"""Spans: data that arrive piece by piece, each in a folder or file of its own.

The path of the data names them by TFX's patterns: ``{SPAN}``, a number, or ``{YYYY}``, ``{MM}`` and
``{DD}``, a date; and ``{VERSION}``, of which the newest counts. ``{SPAN:3}`` has three digits.

Imports nothing heavy: what runs every night looks here first, whether there is anything to do.
"""

import dataclasses
import datetime
import fnmatch
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from diptych.schemas.errors import ConfigError, DataError

_TOKEN = re.compile(r"\{(SPAN|VERSION|YYYY|MM|DD)(?::([^{}]*))?\}")
_DATE = {"YYYY": 4, "MM": 2, "DD": 2}  # and how many digits
_EPOCH = datetime.date(1970, 1, 1)


@dataclasses.dataclass(frozen=True, order=True)
class Span:
    """One span, in its newest version.

    Attributes:
      number: TFX's: the number in the path, or the days from 1970-01-01 to its date.
      version: None where the path has no versions, or this span none yet.
      name: ``2026-11-21``, or the number; the same in every version.
      path: what the path of the data would be for this span alone.
    """

    number: int
    version: int | None
    name: str
    path: str


def has_spans(path: str) -> bool:
    """Whether a path has patterns of spans."""
    return _TOKEN.search(path) is not None


def guess_pattern(folder: str) -> str | None:
    """The pattern of a folder in which all folders are named by a date, as ``span-2026-11-21``.

    With ``v{VERSION}`` where all folders in the newest of them are named so.
    """
    names = _folders(folder)
    named = [re.fullmatch(r"(.*?)[0-9]{4}-[0-9]{2}-[0-9]{2}", name) for name in names]
    prefixes = {match and match[1] for match in named}
    if len(prefixes) != 1 or None in prefixes:
        return None
    pattern = os.path.join(folder, f"{prefixes.pop()}{{YYYY}}-{{MM}}-{{DD}}")
    versions = _folders(os.path.join(folder, names[-1]))
    if versions and all(re.fullmatch(r"v[0-9]+", name) for name in versions):
        return os.path.join(pattern, "v{VERSION}")
    return pattern


def _folders(folder: str) -> list[str]:
    if not os.path.isdir(folder):
        return []
    with os.scandir(folder) as entries:
        return sorted(each.name for each in entries if each.is_dir() and each.name[0] != ".")


def find_spans(path: str, window: int | None = None) -> tuple[Span, ...]:
    """Finds the spans that are there, by names alone: an empty folder is one, too.

    A name that does not match as a whole, such as ``.span-3`` or ``span-3.part``, is passed over.

    Args:
      path: with patterns; wildcards may stand anywhere.
      window: as many of the newest, by number; gaps do not count. None: all.

    Returns:
      The newest version of each, the newest span last; at least one.

    Raises:
      ConfigError: the patterns do not fit together, or nothing matches them.
      DataError: a name has a date that does not exist, or two names are the same span.
    """
    widths = _checked(path)
    found: dict[int, dict[int | None, Span]] = {}
    for texts in _matches(Path(path).parts, widths, {}):
        span = _span(path, texts)
        versions = found.setdefault(span.number, {})
        same = versions.setdefault(span.version, span)
        if same != span:
            raise DataError(
                f"Two are the same span, {span.name}: {same.path} and {span.path}. Remove one."
            )
    if not found:
        raise ConfigError(
            f"No span is there: nothing matches data.path {path}. Check the pattern, or wait for "
            "the first span."
        )
    newest = [max(found[number].values(), key=_age) for number in sorted(found)]
    return tuple(newest[-window:] if window else newest)


def _age(span: Span) -> int:
    return -1 if span.version is None else span.version  # none yet is older than any


def _checked(path: str) -> dict[str, int | None]:
    """Digits of each pattern in the path, None for any number; refuses what TFX does."""
    found = _TOKEN.findall(path)
    names = [name for name, _ in found]
    dates = [name for name in names if name in _DATE]
    if "SPAN" in names and dates:
        problem = "{SPAN} and a date exclude each other: use one"
    elif len(set(names)) < len(names):
        problem = "each of its patterns may stand once only"
    elif dates and len(dates) < len(_DATE):
        problem = "a date needs all of {YYYY}, {MM} and {DD}"
    elif not dates and "SPAN" not in names:
        problem = "{VERSION} is one of a span: add {SPAN}, or {YYYY}, {MM} and {DD}"
    elif any(":" in token for token in re.findall(r"\{(?:YYYY|MM|DD)[^{}]*\}", path)):
        problem = "a part of a date has its own width: write {YYYY}, {MM} and {DD}"
    elif re.search(r"\{(SPAN|VERSION):(?![1-9][0-9]*\})", path):
        problem = "a width is a whole number above 0, as in {SPAN:3}"
    else:
        return {name: _DATE.get(name, int(width) if width else None) for name, width in found}
    raise ConfigError(f"data.path {path}: {problem}.")


def _matches(
    parts: tuple[str, ...],
    widths: Mapping[str, int | None],
    known: dict[str, str],
    folder: str = "",
) -> Iterator[dict[str, str]]:
    """What stands for each pattern, once for each path that matches.

    A span whose folder has no version in it is given without one.
    """
    if not any(_TOKEN.search(part) for part in parts):
        yield known
        return
    part, *rest = parts
    if part == "**":
        raise ConfigError("data.path: ** may stand only behind the patterns of spans.")
    here = list(_named(folder, part, widths, bool(rest)))
    for name, texts in here:
        yield from _matches(tuple(rest), widths, {**known, **texts}, os.path.join(folder, name))
    if not here and known.keys() >= widths.keys() - {"VERSION"}:
        yield known


def _named(
    folder: str, part: str, widths: Mapping[str, int | None], is_folder: bool
) -> Iterator[tuple[str, dict[str, str]]]:
    """Names in a folder that match a part of the path, and what stands for its patterns."""
    if not _TOKEN.search(part) and not re.search(r"[*?\[]", part):
        if os.path.isdir(os.path.join(folder, part)):
            yield part, {}
        return
    wanted = re.compile(_expression(part, widths))
    try:
        with os.scandir(folder or ".") as entries:
            found = sorted(
                (entry.name, entry.is_dir()) for entry in entries if not entry.name.startswith(".")
            )
    except OSError as error:
        raise ConfigError(f"data.path: cannot read {folder}: {error.strerror}.") from error
    for name, has_more in found:
        match = wanted.fullmatch(name)
        if match and (has_more or not is_folder):
            yield name, match.groupdict()


def _expression(part: str, widths: Mapping[str, int | None]) -> str:
    """The regular expression of a part of the path; a name's digits are those of ASCII."""
    pieces, at = [], 0
    for token in _TOKEN.finditer(part):
        width = widths[token[1]]
        digits = f"{{{width}}}" if width else "+"
        pieces += [_wildcards(part[at : token.start()]), f"(?P<{token[1]}>[0-9]{digits})"]
        at = token.end()
    return "".join([*pieces, _wildcards(part[at:])])


def _wildcards(text: str) -> str:
    return fnmatch.translate(text).removesuffix(r"\Z")


def _span(path: str, texts: Mapping[str, str]) -> Span:
    here = _TOKEN.sub(lambda token: texts.get(token[1], token[0]), path)
    version = int(texts["VERSION"]) if "VERSION" in texts else None
    if "SPAN" in texts:
        number = int(texts["SPAN"])
        return Span(number, version, str(number), here)
    try:
        date = datetime.date(*(int(texts[name]) for name in _DATE))
    except ValueError as error:
        raise DataError(
            f"{here} has a date that does not exist, {'-'.join(texts[n] for n in _DATE)}. "
            "Rename or remove it."
        ) from error
    return Span((date - _EPOCH).days, version, date.isoformat(), here)
