"""Results of a search on the console."""

import re

from rich.table import Table

from diptych.pipeline.tuning.space import Trial, format_value
from diptych.pipeline.tuning.trial_result import TrialResult

_MAX_ROWS = 20  # on the console; trials.csv has all trials


def search_table(trials: list[Trial], outcomes: list[TrialResult]) -> Table:
    """Table of the best trials of a search.

    Args:
      trials: All trials, by number.
      outcomes: Outcomes of the trials, the best first.
    """
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    columns = ("trial", "calibration\naccuracy", "epochs", "end")
    keys = (re.sub(r"(?<=[._])", "\n", key) for key in trials[0].values)  # narrow columns
    for name in (*columns, *keys):
        table.add_column(name, justify="left" if name == "end" else "right", vertical="bottom")
    for outcome in outcomes[:_MAX_ROWS]:
        table.add_row(
            str(outcome.number),
            f"{outcome.accuracy:.2%}" if outcome.curves else "-",
            str(len(outcome.curves)),
            outcome.end,
            *(format_value(value) for value in trials[outcome.number - 1].values.values()),
        )
    if len(outcomes) > _MAX_ROWS:
        table.caption = f"and {len(outcomes) - _MAX_ROWS} more"
    return table
