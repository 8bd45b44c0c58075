"""Encoding, delimiter and other conventions of CSV files: given by the user, or detected.

Every reader of CSV files uses these functions, so all of them see the same table.
"""

import codecs
import csv
import dataclasses
import functools
import io
import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pydantic

from diptych.components.common.cell_values import DEFAULT_MISSING, CellFormat
from diptych.components.common.tables.file_formats import read_start
from diptych.schemas.errors import DataError

DELIMITERS = ",;\t|"
_SAMPLE_BYTES, _SAMPLE_LINES = 256 << 10, 200
_MAX_HEADER_BYTES = 16 << 20
_BLOCK_BYTES = 1 << 20
_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # starts like UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# Encodings of spreadsheets and databases. The first of several that read the same text is named.
_ENCODINGS = (
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "cp1257"),
    *("shift_jis", "euc_jp", "gb18030", "big5", "euc_kr", "koi8_r", "mac_roman", "cp850"),
)
_MAX_SUSPICIOUS_BYTES = 64 << 10  # text that charset-normalizer sees
_NUMBER = re.compile(r"\s*[+-]?([0-9]+[.,]?[0-9]*|[.,][0-9]+)([eE][+-]?[0-9]+)?\s*")
_NUMBER_WITH_POINT = re.compile(r"\s*[+-]?[0-9]*\.[0-9]+\s*")
_NUMBER_WITH_COMMA = re.compile(r"\s*[+-]?[0-9]*,[0-9]+\s*")
_THOUSANDS = re.compile(r"\s*[+-]?[1-9][0-9]{0,2},[0-9]{3}\s*")
_MIN_CONSISTENT_ROWS = 0.9


@dataclasses.dataclass(frozen=True)
class TextSettings:
    """Settings of CSV files in the configuration; None is detected.

    Attributes:
      encoding: Name of a Python codec.
      delimiter: One character.
      decimal: "." or ",".
      header: Whether the first row holds the names of the columns.
      missing: Texts of missing values.
      guess_encoding: Use the encoding that fits best instead of reporting it as an error.
    """

    encoding: str | None = None
    delimiter: str | None = None
    decimal: str | None = None
    header: bool = True
    missing: tuple[str, ...] = DEFAULT_MISSING
    guess_encoding: bool = False

    @classmethod
    def from_config(cls, data: pydantic.BaseModel) -> "TextSettings":
        """Take the settings from a section ``data``; kinds without the keys get the defaults."""
        return cls.from_keys(dict(data))

    @classmethod
    def from_keys(cls, data: Mapping[str, Any]) -> "TextSettings":
        """Take the settings from the keys of a data section; kinds without them get defaults."""
        names = ("encoding", "delimiter", "decimal", "header", "missing")
        keys = {name: data[name] for name in names if data.get(name) is not None}
        return cls(**{**keys, "missing": tuple(keys.get("missing", DEFAULT_MISSING))})


@dataclasses.dataclass(frozen=True)
class TextFormat:
    """Conventions of one CSV file.

    Attributes:
      encoding: Name of a Python codec.
      delimiter: One character.
      has_escapes: Whether a backslash escapes a quote or a delimiter.
      header: Whether the first row holds the names of the columns.
      cells: How cells represent values.
    """

    encoding: str
    delimiter: str
    has_escapes: bool
    header: bool
    cells: CellFormat


_DEFAULT_SETTINGS = TextSettings()


def detect_text_format(path: Path, settings: TextSettings = _DEFAULT_SETTINGS) -> TextFormat:
    """Return the format of a CSV file from the settings and its first rows.

    Raises:
      DataError: If the file cannot be read, or its first rows do not have the encoding.
    """
    status = os.stat(path)
    return _detect_cached(path, status.st_size, status.st_mtime_ns, settings)


@functools.lru_cache(maxsize=4096)
def _detect_cached(path: Path, size: int, mtime_ns: int, settings: TextSettings) -> TextFormat:
    start = read_start(path, _SAMPLE_BYTES)
    encoding = settings.encoding or detect_unicode(start)
    if encoding == "utf-8" and settings.encoding is None and settings.guess_encoding:
        problem = _find_invalid_text(path, encoding)
        encoding = (problem.fitting if problem is not None else None) or encoding
    text = _decode_sample(path, start, encoding)
    delimiter, has_escapes = _detect_delimiter(text, settings.delimiter)
    cells = CellFormat(settings.decimal or ".", settings.missing)
    return TextFormat(encoding, delimiter, has_escapes, settings.header, cells)


def read_first_records(path: Path, text_format: TextFormat) -> list[list[str]]:
    """Read the first records of a file with the csv module, without blank lines.

    They end before a record that the module cannot read, such as one with a very long cell.

    Raises:
      DataError: If they are not text in the encoding, or the first one is not CSV.
    """
    text = _decode_sample(path, read_start(path, _SAMPLE_BYTES), text_format.encoding)
    records: list[list[str]] = []
    try:
        for record in _parse(text, text_format.delimiter, text_format.has_escapes):
            records.append(record)
    except csv.Error as error:
        if not records:
            raise DataError(
                f"The header of {path} cannot be read: {error}. Check quotes and data.delimiter."
            ) from error
    return records


def check_encoding(path: Path, settings: TextSettings) -> None:
    """Read a complete file in blocks, and check that it has the encoding.

    Raises:
      DataError: If it does not, with the first line that does not and the encoding that fits.
    """
    encoding = settings.encoding or detect_unicode(read_start(path))
    problem = _find_invalid_text(path, encoding)
    if problem is None:
        return
    name = "UTF-8" if encoding == "utf-8" else encoding
    where = f"{path} is not {name} (line {problem.line}: {problem.shown!r})"
    if problem.fitting is None:
        raise DataError(f"{where}, and no common encoding fits. Convert the file to UTF-8.")
    raise DataError(
        f"{where}; {problem.fitting} fits, and reads {problem.text!r}: set data.encoding: "
        f"{problem.fitting}"
    )


def find_fitting_encoding(path: Path) -> str | None:
    """Return the encoding that fits a complete file that is not Unicode; None if none fits."""
    encoding = detect_unicode(read_start(path))
    problem = _find_invalid_text(path, encoding)
    return None if problem is None else problem.fitting


def uses_decimal_comma(path: Path, settings: TextSettings) -> bool:
    """Return whether the numbers in the first rows of a CSV file have a decimal comma.

    Raises:
      DataError: If the file cannot be read.
    """
    with_point, with_comma, thousands = _count_decimals(path, settings)
    return with_comma > with_point and thousands < with_comma


def _count_decimals(path: Path, settings: TextSettings) -> tuple[int, int, int]:
    """Count the numbers with a point, with a comma, and with a comma that may mean thousands."""
    rows = read_first_records(path, detect_text_format(path, settings))
    cells = [cell for row in rows for cell in row]
    patterns = (_NUMBER_WITH_POINT, _NUMBER_WITH_COMMA, _THOUSANDS)
    with_point, with_comma, thousands = (
        sum(bool(pattern.fullmatch(cell)) for cell in cells) for pattern in patterns
    )
    return with_point, with_comma, thousands


def adapt_settings(path: Path, settings: TextSettings, columns: Sequence[str]) -> TextSettings:
    """Return settings that fit another file of the same columns.

    A model is used on files of other programs than the one that wrote its training data, so what
    the settings of the training data do not fit is detected.

    Args:
      path: A CSV file.
      settings: Settings of the training data.
      columns: Columns that the file needs.

    Raises:
      DataError: If the file cannot be read.
    """
    if settings.encoding is None or not _has_encoding(path, settings.encoding):
        settings = dataclasses.replace(settings, encoding=None, guess_encoding=True)
    candidates = [settings, dataclasses.replace(settings, delimiter=None)]
    for candidate in candidates:
        text_format = detect_text_format(path, candidate)
        rows = read_first_records(path, text_format)
        names = rows[0] if rows else []
        if set(columns) <= set(names):
            settings = dataclasses.replace(candidate, header=True)
            break
        if not candidate.header and set(columns) <= {f"c{i + 1}" for i in range(len(names))}:
            settings = candidate
            break
    with_point, with_comma, thousands = _count_decimals(path, settings)
    if settings.decimal == ",":
        fits = with_comma >= with_point
    else:
        fits = with_point >= with_comma or thousands == with_comma
    other = "." if settings.decimal == "," else ","
    return settings if fits else dataclasses.replace(settings, decimal=other)


def _has_encoding(path: Path, encoding: str) -> bool:
    """Return whether a file is text in an encoding, and not Unicode instead.

    An encoding of one byte per character decodes UTF-8 and UTF-16 too, to other characters.
    """
    if _find_invalid_text(path, encoding) is not None:
        return False
    if "éЯあ한".encode(encoding, "replace").isascii():  # seven bits, as ISO-2022-JP: UTF-8 fits too
        return True
    return _find_invalid_text(path, detect_unicode(read_start(path))) is not None


def has_suspicious_header(path: Path, settings: TextSettings) -> bool:
    """Return whether the header of a CSV file may be a row of data.

    Raises:
      DataError: If the file cannot be read.
    """
    header, *rows = read_first_records(path, detect_text_format(path, settings)) or [[]]
    return settings.header and looks_like_data(header, rows)


def looks_like_data(header: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Return whether a header may be a row of data: its cells are numbers, as below them.

    Consecutive numbers are names of columns, as pandas writes them.
    """
    numeric = [
        column
        for column in range(len(header))
        if rows and all(_NUMBER.fullmatch(row[column]) for row in rows if len(row) > column)
    ]
    if not numeric or not all(_NUMBER.fullmatch(header[column]) for column in numeric):
        return False
    names = [header[column].strip() for column in numeric]
    integers = [int(name) for name in names if name.isdecimal()]
    is_counted = len(integers) == len(names) and all(
        after - before == 1 for before, after in itertools.pairwise(integers)
    )
    return not (is_counted and (len(integers) > 1 or integers[0] in (0, 1)))


@dataclasses.dataclass(frozen=True)
class _InvalidText:
    """The first line that is not in an encoding; ``text`` is the line in the one that fits."""

    line: int
    shown: bytes
    fitting: str | None
    text: str


def _find_invalid_text(path: Path, encoding: str) -> _InvalidText | None:
    status = os.stat(path)
    return _find_invalid_text_cached(path, status.st_size, status.st_mtime_ns, encoding)


@functools.lru_cache(maxsize=4096)
def _find_invalid_text_cached(
    path: Path, size: int, mtime_ns: int, encoding: str
) -> _InvalidText | None:
    position = _find_first_error(path, encoding)
    if position is None:
        return None
    line, content = position
    shown = next(iter(re.findall(rb"[^\s,;|\"]*[\x80-\xff][^\s,;|\"]*", content)), content)[:40]
    fitting = None
    if encoding == "utf-8":
        fitting = _guess_encoding(_collect_suspicious_words(path))
        if fitting is not None and _find_first_error(path, fitting) is not None:
            fitting = None
    text = shown.decode(fitting, "replace") if fitting else ""
    return _InvalidText(line, shown, fitting, text)


def _find_first_error(path: Path, encoding: str) -> tuple[int, bytes] | None:
    """Return number and bytes of the first line that is not in an encoding."""
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    is_ascii_compatible = "a,\n".encode(encoding) == b"a,\n"
    num_lines, pending = 0, b""
    for block in _read_blocks(path):
        if is_ascii_compatible and not pending and block.isascii():
            num_lines += block.count(b"\n")
            continue
        try:
            decoder.decode(block)
        except UnicodeDecodeError as error:
            content, start = error.object, error.start
            before = content[:start]
            begin = before.rfind(b"\n") + 1
            end = content.find(b"\n", start)
            line = content[begin : end if end >= 0 else None]
            return num_lines + before.count(b"\n") + 1, line
        pending = decoder.getstate()[0]
        num_lines += block.count(b"\n")
    try:
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        return num_lines + 1, error.object
    return None


def _read_blocks(path: Path) -> Iterator[bytes]:
    try:
        with pa.input_stream(str(path)) as stream:
            while block := stream.read(_BLOCK_BYTES):
                yield bytes(block)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}.") from error


def _collect_suspicious_words(path: Path) -> bytes:
    """Collect words with bytes that are not ASCII."""
    words: dict[bytes, None] = {}
    size = 0
    for block in _read_blocks(path):
        if block.isascii():
            continue
        for word in re.findall(rb"[^\s,;|\"]*[\x80-\xff][^\s,;|\"]*", block):
            if word not in words:
                words[word] = None
                size += len(word)
        if size > _MAX_SUSPICIOUS_BYTES:
            break
    return b" ".join(words)


def _guess_encoding(sample: bytes) -> str | None:
    import charset_normalizer

    # The statistics of the letters need some text.
    repeated = sample + b"\n"
    repeated *= max(1, 4096 // len(repeated))
    matches = charset_normalizer.from_bytes(repeated, cp_isolation=list(_ENCODINGS), threshold=0.5)
    ratings = [
        (
            # Letters of another alphabet are often symbols: a pound sign in a name.
            -_fraction_of_letters(str(match)),
            round(match.chaos, 1),
            -round(match.coherence, 1),
            _ENCODINGS.index(name),
        )
        for match in matches
        for name in {match.encoding, *match.could_be_from_charset}
        if name in _ENCODINGS
    ]
    return _ENCODINGS[min(ratings)[-1]] if ratings else None


def _fraction_of_letters(text: str) -> float:
    characters = [character for character in text if character > "\x7f"]
    return sum(map(str.isalpha, characters)) / max(1, len(characters))


def detect_unicode(start: bytes) -> str:
    """Return the Unicode encoding of a file from its first bytes."""
    for mark, encoding in _BYTE_ORDER_MARKS:
        if start.startswith(mark):
            return encoding
    # Delimiters and digits of UTF-16 have a zero byte.
    zeros = [start[offset:512:2].count(0) for offset in (0, 1)]
    if max(zeros) > len(start[:512]) // 8:
        return "utf-16-be" if zeros[0] > zeros[1] else "utf-16-le"
    return "utf-8"


def _decode_sample(path: Path, start: bytes, encoding: str) -> str:
    """Decode the first complete lines of a file."""
    num_bytes = len(start)
    while True:
        text = (
            codecs.getincrementaldecoder(encoding)("replace").decode(start).removeprefix("\ufeff")
        )
        is_complete = len(start) < num_bytes
        end = max(text.rfind("\n"), text.rfind("\r"))
        if is_complete or len(start) < _SAMPLE_BYTES:
            return text
        if end > 0 or len(start) >= _MAX_HEADER_BYTES:
            return text[: end + 1] if end > 0 else text
        num_bytes = 4 * len(start)
        start = read_start(path, num_bytes)


def _detect_delimiter(text: str, delimiter: str | None) -> tuple[str, bool]:
    """Find the delimiter that gives the same number of fields in each row, quotes respected."""
    escapes = (True, False) if '\\"' in text else (False,)
    candidates = [
        (one, has_escapes) for one in (delimiter or DELIMITERS) for has_escapes in escapes
    ]
    scores = [_rate(text, *candidate) for candidate in candidates]
    best = candidates[scores.index(max(scores))]
    if best[0] != ",":
        return best
    # Without a header, 1,5;2,5;a has as many fields by comma as by semicolon.
    others = zip(candidates, scores, strict=True)
    decimal = [
        (score, one) for one, score in others if score[0] and _has_decimal_commas(text, *one)
    ]
    return max(decimal)[1] if decimal else best


def _has_decimal_commas(text: str, delimiter: str, has_escapes: bool) -> bool:
    """Return whether all commas in the cells are decimal signs, and there are some."""
    rows = _parse(text, delimiter, has_escapes)
    cells = [cell for row in rows for cell in row if "," in cell]
    return bool(cells) and all(map(_NUMBER_WITH_COMMA.fullmatch, cells))


def _rate(text: str, delimiter: str, has_escapes: bool) -> tuple[bool, int, bool, float]:
    """Rate a delimiter: consistent rows first, then the number of fields and correct quotes."""
    for is_strict in (True, False):
        try:
            rows = list(_parse(text, delimiter, has_escapes, is_strict))
        except csv.Error:
            continue
        widths = [len(row) for row in rows]
        if not widths or widths[0] == 1:
            return False, 1, is_strict, 0.0
        consistent = widths.count(widths[0]) / len(widths)
        return consistent >= _MIN_CONSISTENT_ROWS, widths[0], is_strict, consistent
    return False, 0, False, 0.0


def _parse(
    text: str, delimiter: str, has_escapes: bool, is_strict: bool = False
) -> Iterator[list[str]]:
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        escapechar="\\" if has_escapes else None,
        strict=is_strict,
    )
    num_rows = 0
    for row in reader:
        if row:
            num_rows += 1
            yield row
        if num_rows == _SAMPLE_LINES:
            return
