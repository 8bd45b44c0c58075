"""Splits that the data state: by the name of a folder or a file, or in a column."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from diptych.components.common.row_parsing import RejectionReasons, parse_text_column, reject_rows
from diptych.components.common.split_names import (
    EXPECTED_NAMES,
    find_split_in_path,
    parse_split_name,
)
from diptych.components.common.table_rows import TableRows, format_names
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DataError
from diptych.schemas.shards import SPLITS

_TRAIN = SPLITS[0]


def describe_unknown_split(name: str) -> str:
    """Describe why a row or image was rejected, because its split is unknown."""
    return f"{name!r} is not a split: expected {EXPECTED_NAMES}"


def parse_given_splits(
    rows: TableRows,
    file_name: str,
    column: str | None,
    split: SplitConfig,
    reasons: RejectionReasons,
) -> npt.NDArray[np.object_] | None:
    """Return the split of each row, and reject rows without one; None unless split as given.

    Args:
      rows: Rows of a table.
      file_name: Path of the table inside the data folder, which states the split without a column.
      column: Column with the split; None if the names of the files state it.
      split: Settings of the splits.
      reasons: Reasons for rejection per row, to which others are added.
    """
    if split.by != "given":
        return None
    if column is None:
        of_file = find_split_in_path(file_name)
        if of_file is None:
            everywhere = np.ones(rows.batch.num_rows, bool)
            reject_rows(reasons, everywhere, describe_unknown_split(file_name))
        return np.full(rows.batch.num_rows, of_file, object)
    names = parse_text_column(rows, column, reasons).dictionary_encode()
    distinct = names.dictionary.to_pylist()
    splits = np.array([*map(parse_split_name, distinct), None], object)
    indices = names.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    for index, name in enumerate(distinct):
        if splits[index] is None:
            problem = f"column {column!r}: {describe_unknown_split(name)}"
            reject_rows(reasons, indices == index, problem)
    given: npt.NDArray[np.object_] = splits[indices]
    return given


def select_usable_splits(
    given: npt.NDArray[np.object_] | None, usable: npt.NDArray[np.bool_]
) -> list[str] | None:
    """Return the splits of the usable rows."""
    return None if given is None else given[usable].tolist()


def select_split_keys(
    split: SplitConfig, labels: Sequence[bytes] | None, groups: Sequence[bytes] | None
) -> Sequence[bytes] | None:
    """Return the keys of the units that stay together; None if these are the examples."""
    if split.by == "class":
        return labels
    return groups if uses_group(split) else None


def uses_group(split: SplitConfig) -> bool:
    """Return whether the groups of examples, if the data state them, stay together."""
    return split.by in ("group", "given")


def check_given_splits(names: Iterable[str], origin: str) -> frozenset[str]:
    """Return the splits that the distinct names state.

    Args:
      names: Distinct names of splits.
      origin: Where the names come from, for messages.

    Raises:
      DataError: If a name is not a split, or there is no training split or no other split.
    """
    names = sorted(names)
    unknown = [name for name in names if parse_split_name(name) is None]
    if unknown:
        raise DataError(
            f"{origin} has the values {format_names(unknown, 8)}, which are not splits. Expected "
            f"{EXPECTED_NAMES}, in any case. Rename them, or set split.by to something other "
            "than given."
        )
    found = frozenset(split for name in names if (split := parse_split_name(name)) is not None)
    if _TRAIN not in found or len(found) == 1:
        missing = "no other split" if found == {_TRAIN} else "no training split"
        raise DataError(
            f"{origin} has {missing}: its values are {format_names(names, 8)}. Expected train and "
            "test, or train, val and test. Add the split, or set split.by to something other than "
            "given."
        )
    return found
