"""Roles of columns that tables of every kind may have: the id, group, split and time of a row."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.common import row_parsing
from diptych.components.common.row_parsing import RejectionReasons
from diptych.components.common.table_rows import TableRows
from diptych.components.example_gen.example_batch import Times, compute_ids
from diptych.components.example_gen.given_splits import (
    parse_given_splits,
    select_usable_splits,
    uses_group,
)
from diptych.components.example_gen.times import parse_times
from diptych.schemas.config.data import DataConfig
from diptych.schemas.config.split import SplitConfig


@dataclasses.dataclass(frozen=True, eq=False)
class ExampleRoles:
    """Roles of the usable rows; each is None if the data or the split have no such role.

    Attributes:
      ids: Ids, as hashes of the keys in ``data.id``.
      groups: Groups that stay together in one split.
      given_splits: See ``ExampleBatch``.
      times: See ``ExampleBatch``.
    """

    ids: list[str] | None
    groups: Sequence[bytes] | None
    given_splits: list[str] | None
    times: Times | None


@dataclasses.dataclass(frozen=True, eq=False)
class RowRoles:
    """Parsed roles of all rows, also rejected ones."""

    keys: pa.Array | None
    groups: pa.Array | None
    splits: npt.NDArray[np.object_] | None
    times: Times | None

    def select(self, usable: npt.NDArray[np.bool_]) -> ExampleRoles:
        """Return the roles of the usable rows."""
        keys, groups = (
            None if text is None else row_parsing.encode_text(text, usable)
            for text in (self.keys, self.groups)
        )
        return ExampleRoles(
            ids=None if keys is None else compute_ids(keys),
            groups=groups,
            given_splits=select_usable_splits(self.splits, usable),
            times=None if self.times is None else self.times.filter(usable),
        )


def role_columns(data: DataConfig) -> list[str]:
    """Return the columns that have a role in the configuration."""
    return [name for name in (data.id, data.group, data.split, data.time) if name]


def parse_row_roles(
    rows: TableRows,
    file_name: str,
    data: DataConfig,
    split: SplitConfig,
    reasons: RejectionReasons,
) -> RowRoles:
    """Parse the roles that the split needs, and reject rows without a value.

    ``file_name`` is the path of the table inside the data folder, which may state the split.
    """
    keys = row_parsing.parse_text_column(rows, data.id, reasons) if data.id else None
    groups = None
    if data.group is not None and uses_group(split):
        groups = row_parsing.parse_text_column(rows, data.group, reasons)
    splits = parse_given_splits(rows, file_name, data.split, split, reasons)
    return RowRoles(keys, groups, splits, parse_times(rows, data, split, reasons))
