"""What a search leaves: the best configuration, a table and a plot of the trials."""

import csv
import json
import math
from pathlib import Path
from typing import Any

import yaml
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from diptych.pipeline.tuning.space import Trial, format_value
from diptych.pipeline.tuning.trial_result import TrialResult
from diptych.schemas.config.config import Config
from diptych.schemas.files import atomic_write

_PANEL_INCHES = 3.2
_PANELS_A_ROW = 3


def write_results(folder: Path, trials: list[Trial], outcomes: list[TrialResult]) -> dict[str, Path]:
    """Writes ``best.yaml``, ``trials.csv`` and ``trials.svg``.

    Args:
      folder: of the search.
      trials: all, by number.
      outcomes: best first.

    Returns:
      The files, by what they hold.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / name for name in ("best.yaml", "trials.csv", "trials.svg")}
    write_config_file(files["best.yaml"], trials[outcomes[0].number - 1].config)
    with atomic_write(files["trials.csv"]) as beside, beside.open("w", newline="") as file:
        rows = [_row(trials[outcome.number - 1], outcome) for outcome in outcomes]
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with atomic_write(files["trials.svg"]) as beside:
        _plot(trials, outcomes).savefig(beside, format="svg")
    return {"Best": files["best.yaml"], "Trials": files["trials.csv"], "Plot": files["trials.svg"]}


def write_config_file(path: Path, config: Config) -> None:
    """Writes a configuration with all of its values; ``load_config`` gives it back.

    Paths are absolute, so that the file can be moved.
    """
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    with atomic_write(path) as beside:
        beside.write_text(text, encoding="utf-8")


def _row(trial: Trial, outcome: TrialResult) -> dict[str, Any]:
    best = outcome.best
    return {
        "trial": trial.number,
        "end": outcome.end,
        "calibration_accuracy": best.calibration_accuracy if best else "",
        "calibration_loss": best.calibration_loss if best else "",
        "best_epoch": best.epoch if best else "",
        "epochs": len(outcome.curves),
        "seconds": round(sum(line.seconds for line in outcome.curves), 1),
        **{
            key: json.dumps(value) if isinstance(value, dict | list) else value
            for key, value in trial.values.items()
        },
        "reason": outcome.reason,
    }


def _plot(trials: list[Trial], outcomes: list[TrialResult]) -> Figure:
    """The curves of all trials, then the accuracy over the values of each key."""
    space = trials[0].config.tune.space
    columns = min(len(space) + 1, _PANELS_A_ROW)
    rows = math.ceil((len(space) + 1) / columns)
    size = (columns * _PANEL_INCHES, rows * _PANEL_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    known = [outcome for outcome in reversed(outcomes) if outcome.curves]  # the best on top
    for outcome in known:
        accuracies = [line.calibration_accuracy for line in outcome.curves]
        epochs = range(1, len(accuracies) + 1)
        best = outcome is outcomes[0]
        panels[0].plot(epochs, accuracies, **(_style(outcome, best) | {"marker": ""}))
    panels[0].set_xlabel("epoch")
    for panel, (key, values) in zip(panels[1:], space.items(), strict=False):
        panel.set_xlabel(key)
        if values.log_uniform:
            panel.set_xscale("log")
        if values.choice:
            panel.set_xticks(range(len(values.choice)), map(format_value, values.choice))
            panel.set_xlim(-0.5, len(values.choice) - 0.5)
        for outcome in known:
            value = trials[outcome.number - 1].values[key]
            at = values.choice.index(value) if values.choice else value
            best = outcome is outcomes[0]
            panel.plot(at, outcome.accuracy, **_style(outcome, best), ms=12 if best else 5)
    for panel in panels[len(space) + 1 :]:
        panel.set_visible(False)
    for panel in panels[::columns]:
        panel.set_ylabel("calibration accuracy")
    handles = {_style(one, one is outcomes[0])["label"]: one for one in known}
    figure.legend(
        [Line2D([], [], ls="", **_style(one, one is outcomes[0])) for one in handles.values()],
        list(handles),
        loc="outside lower center",
        ncols=len(handles),
    )
    return figure


def _style(outcome: TrialResult, best: bool) -> dict[str, Any]:
    if best:
        return {"color": "tab:orange", "marker": "*", "label": f"best: trial {outcome.number}"}
    colour = {"finished": "tab:blue", "stopped": "tab:gray"}.get(outcome.end, "tab:red")
    return {"color": colour, "marker": "o", "label": outcome.end}
