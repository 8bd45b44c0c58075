"""Beam reads files by patterns: here, a folder that exists wins over the wildcards in its name.

TFX passes ``URI/Split-train/*`` to Beam, which cannot escape a wildcard. In a root named
``out [v2]`` Beam would find nothing, and in one named ``run?`` it would also match, and before
writing delete, files of the root ``run1``.

Importing this module changes Beam's local file system. Worker processes import it as a plugin, by
the option ``beam_plugin``.
"""

import os
import re
from collections.abc import Sequence
from typing import Any

from apache_beam.io.filesystem import BeamIOError, FileMetadata, MatchResult
from apache_beam.io.localfilesystem import LocalFileSystem

from diptych.components.common.data_files import split_existing_folder

_match_patterns = LocalFileSystem.match


def _match(
    self: Any, patterns: Sequence[str], limits: Sequence[int | None] | None = None
) -> list[MatchResult]:
    """Find the files that match each pattern; folders that exist are taken literally.

    Args:
      self: The file system.
      patterns: Paths, of which the parts that are not existing folders may have wildcards.
      limits: Maximum number of files of each pattern; None for all.

    Raises:
      BeamIOError: If a folder cannot be listed.
    """
    if not all(os.path.isabs(pattern) for pattern in patterns):
        matched: list[MatchResult] = _match_patterns(self, patterns, limits)
        return matched
    results, errors = [], {}
    for pattern, limit in zip(patterns, limits or [None] * len(patterns), strict=True):
        try:
            results.append(MatchResult(pattern, _find_files(self, pattern)[:limit]))
        except Exception as error:
            errors[pattern] = error
    if errors:
        raise BeamIOError("Match operation failed", errors)
    return results


def _find_files(file_system: Any, pattern: str) -> list[FileMetadata]:
    if pattern.endswith("/"):
        pattern += "*"
    if os.path.exists(pattern):
        return [file_system.metadata(pattern)]
    folder, rest = split_existing_folder(pattern)
    matches = re.compile(file_system.translate_pattern(rest)).match
    offset = len(folder.rstrip("/")) + 1
    return [file for file in file_system._list(folder) if matches(file.path[offset:])]


LocalFileSystem.match = _match
