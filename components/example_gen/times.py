"""Parse a column of times: numbers, dates or timestamps, in the cells of a table or as text."""

import numpy as np
import pandas as pd

from diptych.components.common import row_parsing
from diptych.components.common.row_parsing import RejectionReasons
from diptych.components.common.table_rows import TableRows
from diptych.components.example_gen.example_batch import Times
from diptych.schemas.config.data import DataConfig
from diptych.schemas.config.split import SplitConfig


def parse_times(
    rows: TableRows, data: DataConfig, split: SplitConfig, reasons: RejectionReasons
) -> Times | None:
    """Parse the column ``data.time`` for a split by time, and reject rows without a time.

    Dates without a time zone are in UTC, so that they can be compared with others.

    Returns:
      Times of all rows, also rejected ones; None unless the data are split by a column.
    """
    column = getattr(data, "time", None)
    if split.by != "time" or column is None:
        return None
    text = row_parsing.parse_text_column(rows, column, reasons).dictionary_encode()
    distinct = text.dictionary.to_pylist()
    numbers = pd.to_numeric(pd.Series(distinct, dtype=object), errors="coerce").astype(float)
    dates = pd.to_datetime(
        pd.Series(distinct, dtype=object).where(numbers.isna()),
        errors="coerce",
        format="ISO8601",
        utc=True,
    )
    dated = dates.notna().to_numpy()
    since_1970 = (dates - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(microseconds=1)
    values = np.where(dated, since_1970.to_numpy(), numbers.to_numpy())
    indices = text.indices.fill_null(len(distinct)).to_numpy(zero_copy_only=False)
    values, dated = np.append(values, 0.0), np.append(dated, False)
    reason = (
        f"column {column!r} is neither a number nor a date from 1678 to 2261, such as 2026-01-31"
    )
    row_parsing.reject_rows(reasons, ~np.isfinite(values)[indices], reason)
    return Times(values[indices], dated[indices])
