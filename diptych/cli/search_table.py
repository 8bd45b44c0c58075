"""Results of a search on the console."""

import re

from rich.table import Table

from diptych.pipeline.tuning.space import Trial, format_value
from diptych.pipeline.tuning.trial_result import TrialResult

_MAX_ROWS = 20  # on the console; trials.csv has all trials


def search_table(trials: list[Trial], results: list[TrialResult]) -> Table:
    """Table of the best trials of a search.

    Args:
      trials: All trials, by number.
      results: Results of the trials, the best first.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    columns = ("trial", "calibration\naccuracy", "epochs", "status")
    keys = (re.sub(r"(?<=[._])", "\n", key) for key in trials[0].values)  # narrow columns
    for name in (*columns, *keys):
        table.add_column(name, justify="left" if name == "status" else "right", vertical="bottom")
    for result in results[:_MAX_ROWS]:
        table.add_row(
            str(result.number),
            f"{result.accuracy:.2%}" if result.curves else "-",
            str(len(result.curves)),
            result.status,
            *(format_value(value) for value in trials[result.number - 1].values.values()),
        )
    if len(results) > _MAX_ROWS:
        table.caption = f"and {len(results) - _MAX_ROWS} more"
    return table
