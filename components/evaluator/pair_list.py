"""Given evaluation pairs: a table, or the ``pairs.txt`` of Labeled Faces in the Wild."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.common.cell_values import CellFormat, as_text
from diptych.components.common.table_rows import (
    format_names,
    is_parquet,
    read_schema,
    read_table_rows,
)
from diptych.schemas.errors import ConfigError, DataError

_SAME, _FOLD, _SIDES = "same", "fold", ("left", "right")
_POSITIVE_WORDS = ("1", "true", "yes", "same")
_NEGATIVE_WORDS = ("0", "false", "no", "different")
_ONLY_EMPTY_IS_MISSING = CellFormat(missing=())  # NA may be a name
_LFW_HEADER = re.compile(r"\s*(\d+)(?:\s+(\d+))?\s*")
_LFW_NUMBER = re.compile(r"[0-9]{1,9}")
_HEADER_BYTES = 4096
_EXPECTED = (
    "Expected a CSV or Parquet file with two columns that name examples, a column 'same' and "
    "optionally a column 'fold'; or a pairs.txt as of Labeled Faces in the Wild."
)


@dataclasses.dataclass(frozen=True)
class PairList:
    """Pairs of named examples.

    Attributes:
      left: (m,) names: paths, ids or sources of examples.
      right: (m,) names of the right side.
      same: (m,) 1 for a positive pair, 0 for a negative pair; at least one of each.
      fold: (m,) fold of each pair, 0 .. k - 1 with k > 1; None if the list has no folds.
      is_lfw: True if a name such as ``Ada/Ada_0003`` stands for a file with any extension.
    """

    left: npt.NDArray[np.str_]
    right: npt.NDArray[np.str_]
    same: npt.NDArray[np.int8]
    fold: npt.NDArray[np.int64] | None = None
    is_lfw: bool = False


def read_pair_list(path: Path) -> PairList:
    """Read a list of pairs.

    Raises:
      ConfigError: If the file does not exist or cannot be read.
      DataError: If the file has another format, an invalid row, a pair of an example with itself,
        only positive or only negative pairs, or a single fold.
    """
    if not path.is_file():
        raise ConfigError(f"evaluate.pairs does not exist, or is not a file: {path}. {_EXPECTED}")
    try:
        with path.open("rb") as file:
            start = file.read(_HEADER_BYTES).removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise ConfigError(f"evaluate.pairs {path} cannot be read: {error.strerror}.") from error
    first_line = start.decode("utf-8", "replace").lstrip().partition("\n")[0]
    is_lfw = not is_parquet(path) and _LFW_HEADER.fullmatch(first_line) is not None
    pairs = _read_lfw(path) if is_lfw else _read_table(path)
    _check_pairs(path, pairs)
    return pairs


def _check_pairs(path: Path, pairs: PairList) -> None:
    itself = np.flatnonzero(pairs.left == pairs.right)
    if len(itself):
        raise DataError(
            f"evaluate.pairs {path}: pair {itself[0] + 1} compares {str(pairs.left[itself[0]])!r} "
            "with itself. Remove such pairs."
        )
    num_positive = int(pairs.same.sum())
    if not 0 < num_positive < len(pairs.same):
        raise DataError(
            f"evaluate.pairs {path} must have positive and negative pairs, got {num_positive:,} "
            f"positive and {len(pairs.same) - num_positive:,} negative."
        )
    if pairs.fold is not None and pairs.fold.max() == 0:
        raise DataError(
            f"evaluate.pairs {path} has a single fold, but the threshold of a fold comes from the "
            "others. Use at least two folds, or remove the column 'fold'."
        )


def _read_lfw(path: Path) -> PairList:
    """Read ``folds n`` or ``n``, and then n positive and n negative pairs per fold."""
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(f"evaluate.pairs {path} is not UTF-8 ({error}). Convert it.") from error
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    header = _LFW_HEADER.fullmatch(numbered[0][1])
    assert header is not None  # the caller has checked it
    num_folds, num_per_kind = (
        (1, int(header[1])) if header[2] is None else (int(header[1]), int(header[2]))
    )
    rows = [_parse_lfw_line(path, number, line) for number, line in numbered[1:]]
    per_fold = 2 * num_per_kind
    if not rows or len(rows) != num_folds * per_fold:
        raise DataError(
            f"evaluate.pairs {path}: the header announces {num_folds} x {num_per_kind} positive "
            f"and negative pairs, {num_folds * per_fold:,} lines, but got {len(rows):,}."
            " Copy the file again, or correct the header."
        )
    left, right, same = (np.array(column) for column in zip(*rows, strict=True))
    fold = np.repeat(np.arange(num_folds), per_fold)
    positives = np.bincount(fold, same, num_folds)
    wrong = np.flatnonzero(positives != num_per_kind)
    if len(wrong):
        raise DataError(
            f"evaluate.pairs {path}: fold {wrong[0] + 1} has {int(positives[wrong[0]]):,} positive "
            f"pairs, but the header announces {num_per_kind:,}."
        )
    has_folds = header[2] is not None and num_folds > 1
    return PairList(left, right, same.astype(np.int8), fold if has_folds else None, is_lfw=True)


def _parse_lfw_line(path: Path, number: int, line: str) -> tuple[str, str, int]:
    fields = [field.strip() for field in line.split("\t")] if "\t" in line else line.split()
    if len(fields) == 3:
        fields.insert(2, fields[0])
    if len(fields) != 4 or not all(map(_LFW_NUMBER.fullmatch, (fields[1], fields[3]))):
        raise DataError(
            f"evaluate.pairs {path}, line {number}: expected 'name n1 n2' or 'name n1 name n2', "
            f"got {line[:200]!r}."
        )
    left, right = (f"{name}/{name}_{int(index):04d}" for name, index in (fields[:2], fields[2:]))
    return left, right, int(fields[0] == fields[2])


def _read_table(path: Path) -> PairList:
    names = read_schema(path).names
    sides = _find_sides(path, names)
    has_fold = _FOLD in names
    columns = [*sides, _SAME, *([_FOLD] if has_fold else [])]
    text: dict[str, list[pa.Array]] = {name: [] for name in columns}
    for rows in read_table_rows(path, columns):
        if rows.malformed:
            number, reason = rows.malformed[0]
            raise DataError(f"evaluate.pairs {path}, row {number}: {reason}. Correct the row.")
        for name in columns:
            cells = as_text(rows.batch.column(name), _ONLY_EMPTY_IS_MISSING)
            if cells.null_count:
                number = rows.row_numbers[np.flatnonzero(cells.is_null().to_numpy(False))[0]]
                raise DataError(
                    f"evaluate.pairs {path}, row {number}: column {name!r} has no value. Every "
                    "pair needs one."
                )
            text[name].append(cells)
    values = {name: pa.chunked_array(cells, pa.string()) for name, cells in text.items()}
    left, right = (values[name].to_numpy().astype(np.str_) for name in sides)
    same = _parse_same(path, values[_SAME].to_numpy())
    fold = None
    if has_fold and len(left):
        _, fold = np.unique(values[_FOLD].to_numpy().astype(np.str_), return_inverse=True)
    return PairList(left, right, same, fold)


def _find_sides(path: Path, names: list[str]) -> tuple[str, str]:
    """Find the two columns that name examples."""
    others = [name for name in names if name not in (_SAME, _FOLD)]
    if names.count(_SAME) == 1 and names.count(_FOLD) <= 1:
        if set(_SIDES) <= set(others):
            return _SIDES
        if len(others) == 2:
            return others[0], others[1]
    raise DataError(
        f"evaluate.pairs {path} has the columns {format_names(names) or 'none'}. {_EXPECTED} If "
        "there are more columns, name those of the examples 'left' and 'right'."
    )


def _parse_same(path: Path, values: npt.NDArray[np.object_]) -> npt.NDArray[np.int8]:
    words, index = np.unique(values.astype(np.str_), return_inverse=True)
    labels = np.empty(len(words), np.int8)
    for number, word in enumerate(words):
        if word.lower() not in _POSITIVE_WORDS + _NEGATIVE_WORDS:
            raise DataError(
                f"evaluate.pairs {path}: the column 'same' has the value {str(word)!r}. Expected 1 "
                "or 0, true or false, yes or no, same or different."
            )
        labels[number] = word.lower() in _POSITIVE_WORDS
    return labels[index]
