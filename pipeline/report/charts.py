"""The figures of a report, each an inline SVG. No text of the data stands in them."""

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator

from diptych.pipeline.report.svg import ACCENT, DIFFERENT, INK, MUTED, PAPER, SAME, drawing
from diptych.schemas.evaluation import AtThreshold, Verification

_BINS = 60
_ROC_POINTS = 200
_LOWEST_FAR = 1e-4  # of the logarithmic axis
_CURVE_POINTS = 400
_percent = FuncFormatter(lambda share, _: f"{100 * share:.4g} %")


def loss_curves(epochs: list[dict[str, Any]], best: int) -> str:
    """Training and calibration loss by epoch."""
    with drawing("loss") as drawn:
        axes, numbers = drawn.axes, [line["epoch"] for line in epochs]
        axes.plot(numbers, [line["loss"] for line in epochs], "o-", color=SAME, label="training")
        axes.plot(
            *(numbers, [line["calibration_loss"] for line in epochs], "s--"),
            color=DIFFERENT,
            label="calibration",
        )
        axes.set_ylim(bottom=0)
        _by_epoch(axes, best, "loss")
    return drawn.svg


def accuracy_curves(epochs: list[dict[str, Any]], best: int) -> str:
    """Accuracy by epoch, on training pairs and on those of the calibration split."""
    with drawing("accuracy") as drawn:
        axes, numbers = drawn.axes, [line["epoch"] for line in epochs]
        training = np.array([line["accuracy"] for line in epochs], float)  # NaN: without pairs
        axes.plot(numbers, training, "o-", color=SAME, label="training")
        axes.plot(
            *(numbers, [line["calibration_accuracy"] for line in epochs], "s--"),
            color=DIFFERENT,
            label="calibration",
        )
        axes.yaxis.set_major_formatter(_percent)
        _by_epoch(axes, best, "accuracy")
    return drawn.svg


def distance_histogram(same: np.ndarray, distance: np.ndarray, figures: Verification) -> str:
    """Shares of same and of different pairs by distance, with both thresholds."""
    with drawing("distances") as drawn:
        axes = drawn.axes
        highest = max(float(distance.max()), figures.fixed.threshold, figures.calibrated.threshold)
        edges = np.linspace(min(0.0, float(distance.min())), highest * 1.02, _BINS + 1)
        for kind, colour, label in ((same, SAME, "same"), (~same, DIFFERENT, "different")):
            counts, _ = np.histogram(distance[kind], edges)
            axes.stairs(
                counts / max(kind.sum(), 1),
                edges,
                fill=True,
                color=colour,
                alpha=0.45,
                label=f"{label} pairs",
            )
            axes.stairs(counts / max(kind.sum(), 1), edges, color=colour, linewidth=1.5)
        for at, form, label in (
            (figures.calibrated, "-", "calibrated"),
            (figures.fixed, ":", "fixed"),
        ):
            axes.axvline(at.threshold, color=INK, linestyle=form, label=f"{label} threshold")
        axes.yaxis.set_major_formatter(_percent)
        axes.set(xlabel="distance", ylabel="share of pairs of the kind")
        axes.legend()
    return drawn.svg


def roc(same: np.ndarray, distance: np.ndarray, figures: Verification, *, low: bool) -> str:
    """True accepts by false accepts, with the operating points.

    Args:
      same: (pairs,) bool.
      distance: (pairs,).
      figures: of these pairs.
      low: with the false accepts on a logarithmic axis, which shows the low rates.
    """
    from sklearn.metrics import roc_curve

    false_accepts, true_accepts, _ = roc_curve(same, -distance)
    with drawing("roc-low" if low else "roc") as drawn:
        axes = drawn.axes
        if low:
            false_accepts = np.maximum(false_accepts, _LOWEST_FAR)
            chance = np.geomspace(_LOWEST_FAR, 1, 50)
            places = np.geomspace(_LOWEST_FAR, 1, _ROC_POINTS)
            axes.set_xscale("log")
            axes.set_xlim(_LOWEST_FAR, 1)
        else:
            chance = np.linspace(0, 1, 2)
            places = np.linspace(0, 1, _ROC_POINTS)
        # The highest rate of true accepts at each place: a curve of steps, bounded in length.
        reached = true_accepts[np.searchsorted(false_accepts, places, side="right") - 1]
        if not low:  # from the corner, where nothing is accepted
            places, reached = np.insert(places, 0, 0), np.insert(reached, 0, 0)
        axes.plot(chance, chance, ":", color=MUTED, linewidth=1, label="chance")
        axes.step(places, reached, where="post", color=ACCENT, label="this model")
        for at, mark, label in (
            (figures.calibrated, "o", "calibrated threshold"),
            (figures.fixed, "D", "fixed threshold"),
        ):
            x, y = operating_point(at)
            axes.plot(
                *(max(x, _LOWEST_FAR) if low else x, y, mark),
                color=DIFFERENT,
                markeredgecolor=PAPER,
                label=label,
                clip_on=False,
                zorder=3,
            )
        axes.xaxis.set_major_formatter(_percent)
        axes.yaxis.set_major_formatter(_percent)
        axes.set_ylim(0, 1.02)
        axes.set(
            xlabel="different pairs accepted (false accepts)",
            ylabel="same pairs accepted",
        )
        axes.legend(loc="lower right")
    return drawn.svg


def class_sizes(before: np.ndarray, after: np.ndarray) -> str:
    """Examples of each class before and after balancing, of many classes, largest first."""
    with drawing("classes") as drawn:
        axes = drawn.axes
        rows = np.unique(np.geomspace(1, len(before), _CURVE_POINTS).astype(int)) - 1
        axes.plot(rows + 1, before[rows], color=SAME, label="before: examples")
        axes.plot(rows + 1, after[rows], "--", color=DIFFERENT, label="after: places in a round")
        axes.set_yscale("log")
        if len(before) > _CURVE_POINTS:
            axes.set_xscale("log")
        plain = FuncFormatter(lambda number, _: f"{number:,.4g}")
        axes.xaxis.set_major_formatter(plain)
        axes.yaxis.set_major_formatter(plain)
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
        axes.set(xlabel="classes, the largest first", ylabel="examples")
        axes.legend()
    return drawn.svg


def operating_point(at: AtThreshold) -> tuple[float, float]:
    """Rates of false and of true accepts at a threshold."""
    counts = at.confusion
    same = counts.same_called_same + counts.same_called_different
    different = counts.different_called_same + counts.different_called_different
    return counts.different_called_same / max(different, 1), counts.same_called_same / max(same, 1)


def _by_epoch(axes: Axes, best: int, what: str) -> None:
    axes.axvline(best, color=INK, linestyle=":", linewidth=1.5, label="weights kept")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel=what)
    axes.legend()
