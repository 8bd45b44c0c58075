"""Result files of a search: the best configuration, a table and a plot of the trials."""

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
_PANELS_PER_ROW = 3


def write_search_results(
    folder: Path, trials: list[Trial], results: list[TrialResult]
) -> dict[str, Path]:
    """Write ``best.yaml``, ``trials.csv`` and ``trials.svg``.

    Args:
      folder: Folder of the search.
      trials: All trials, by number.
      results: Results of the trials, the best first.

    Returns:
      Paths of the files by title.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {name: folder / name for name in ("best.yaml", "trials.csv", "trials.svg")}
    write_config_file(files["best.yaml"], trials[results[0].number - 1].config)
    with atomic_write(files["trials.csv"]) as tmp_path, tmp_path.open("w", newline="") as file:
        rows = [_trial_row(trials[result.number - 1], result) for result in results]
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with atomic_write(files["trials.svg"]) as tmp_path:
        _plot_trials(trials, results).savefig(tmp_path, format="svg")
    return {"Best": files["best.yaml"], "Trials": files["trials.csv"], "Plot": files["trials.svg"]}


def write_config_file(path: Path, config: Config) -> None:
    """Write a configuration with all values as YAML for ``load_config``.

    Paths are absolute, so the file can be moved.
    """
    text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
    with atomic_write(path) as tmp_path:
        tmp_path.write_text(text, encoding="utf-8")


def _trial_row(trial: Trial, result: TrialResult) -> dict[str, Any]:
    best = result.best
    return {
        "trial": trial.number,
        "status": result.status,
        "calibration_accuracy": best.calibration_accuracy if best else "",
        "calibration_loss": best.calibration_loss if best else "",
        "best_epoch": best.epoch if best else "",
        "epochs": len(result.curves),
        "seconds": round(sum(metrics.seconds for metrics in result.curves), 1),
        **{
            key: json.dumps(value) if isinstance(value, dict | list) else value
            for key, value in trial.values.items()
        },
        "reason": result.reason,
    }


def _plot_trials(trials: list[Trial], results: list[TrialResult]) -> Figure:
    """Plot the learning curves of all trials, and the accuracy over the values of each key."""
    space = trials[0].config.tune.space
    columns = min(len(space) + 1, _PANELS_PER_ROW)
    rows = math.ceil((len(space) + 1) / columns)
    size = (columns * _PANEL_INCHES, rows * _PANEL_INCHES)
    figure = Figure(figsize=size, layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).flatten()
    drawn = [result for result in reversed(results) if result.curves]  # the best on top
    for result in drawn:
        accuracies = [metrics.calibration_accuracy for metrics in result.curves]
        epochs = range(1, len(accuracies) + 1)
        best = result is results[0]
        panels[0].plot(epochs, accuracies, **(_plot_style(result, best) | {"marker": ""}))
    panels[0].set_xlabel("epoch")
    for panel, (key, domain) in zip(panels[1:], space.items(), strict=False):
        panel.set_xlabel(key)
        if domain.log_uniform:
            panel.set_xscale("log")
        if domain.choice:
            panel.set_xticks(range(len(domain.choice)), map(format_value, domain.choice))
            panel.set_xlim(-0.5, len(domain.choice) - 0.5)
        for result in drawn:
            value = trials[result.number - 1].values[key]
            x = domain.choice.index(value) if domain.choice else value
            best = result is results[0]
            panel.plot(x, result.accuracy, **_plot_style(result, best), ms=12 if best else 5)
    for panel in panels[len(space) + 1 :]:
        panel.set_visible(False)
    for panel in panels[::columns]:
        panel.set_ylabel("calibration accuracy")
    handles = {_plot_style(one, one is results[0])["label"]: one for one in drawn}
    figure.legend(
        [Line2D([], [], ls="", **_plot_style(one, one is results[0])) for one in handles.values()],
        list(handles),
        loc="outside lower center",
        ncols=len(handles),
    )
    return figure


def _plot_style(result: TrialResult, best: bool) -> dict[str, Any]:
    if best:
        return {"color": "tab:orange", "marker": "*", "label": f"best: trial {result.number}"}
    colour = {"finished": "tab:blue", "stopped": "tab:gray"}.get(result.status, "tab:red")
    return {"color": colour, "marker": "o", "label": result.status}
