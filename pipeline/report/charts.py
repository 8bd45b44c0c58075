"""Charts of the report as inline SVG. They contain no text from the data."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator

from diptych.pipeline.report.svg import ACCENT, INK, MUTED, NEGATIVE, PAPER, POSITIVE, svg_chart
from diptych.schemas.evaluation import AtThreshold, Verification
from diptych.schemas.learning_curves import LearningCurves

_NUM_BINS = 60
_NUM_ROC_POINTS = 200
_MIN_FAR = 1e-4  # of the logarithmic axis
_NUM_CURVE_POINTS = 400
_PERCENT_FORMATTER = FuncFormatter(lambda fraction, _: f"{100 * fraction:.4g} %")


def loss_curves(curves: LearningCurves) -> str:
    """Draw the training and calibration loss by epoch."""
    with svg_chart("loss") as chart:
        axes, epochs = chart.axes, [metrics.epoch for metrics in curves.epochs]
        losses = [metrics.loss for metrics in curves.epochs]
        axes.plot(epochs, losses, "o-", color=POSITIVE, label="training")
        axes.plot(
            *(epochs, [metrics.calibration_loss for metrics in curves.epochs], "s--"),
            color=NEGATIVE,
            label="calibration",
        )
        axes.set_ylim(bottom=0)
        _finish_epoch_chart(axes, curves.best_epoch, "loss")
    return chart.svg


def accuracy_curves(curves: LearningCurves) -> str:
    """Draw the accuracy on training and calibration pairs by epoch."""
    with svg_chart("accuracy") as chart:
        axes, epochs = chart.axes, [metrics.epoch for metrics in curves.epochs]
        # NaN without training pairs
        training = np.array([metrics.accuracy for metrics in curves.epochs], float)
        axes.plot(epochs, training, "o-", color=POSITIVE, label="training")
        axes.plot(
            *(epochs, [metrics.calibration_accuracy for metrics in curves.epochs], "s--"),
            color=NEGATIVE,
            label="calibration",
        )
        axes.yaxis.set_major_formatter(_PERCENT_FORMATTER)
        _finish_epoch_chart(axes, curves.best_epoch, "accuracy")
    return chart.svg


def distance_histogram(same: np.ndarray, distance: np.ndarray, metrics: Verification) -> str:
    """Draw histograms of the distances of positive and negative pairs, with both thresholds.

    Args:
      same: (pairs,) bool, True for positive pairs.
      distance: (pairs,).
      metrics: Metrics of these pairs.
    """
    with svg_chart("distances") as chart:
        axes = chart.axes
        highest = max(float(distance.max()), metrics.fixed.threshold, metrics.calibrated.threshold)
        edges = np.linspace(min(0.0, float(distance.min())), highest * 1.02, _NUM_BINS + 1)
        for selected, colour, label in (
            (same, POSITIVE, "positive"),
            (~same, NEGATIVE, "negative"),
        ):
            counts, _ = np.histogram(distance[selected], edges)
            fractions = counts / max(selected.sum(), 1)
            axes.stairs(
                fractions,
                edges,
                fill=True,
                color=colour,
                alpha=0.45,
                label=f"{label} pairs",
            )
            axes.stairs(fractions, edges, color=colour, linewidth=1.5)
        for at, line_style, label in (
            (metrics.calibrated, "-", "calibrated"),
            (metrics.fixed, ":", "fixed"),
        ):
            axes.axvline(at.threshold, color=INK, linestyle=line_style, label=f"{label} threshold")
        axes.yaxis.set_major_formatter(_PERCENT_FORMATTER)
        axes.set(xlabel="distance", ylabel="fraction of positive or negative pairs")
        axes.legend()
    return chart.svg


def roc_chart(
    same: np.ndarray, distance: np.ndarray, metrics: Verification, *, log_scale: bool
) -> str:
    """Draw the ROC curve with the operating points of both thresholds.

    Args:
      same: (pairs,) bool, True for positive pairs.
      distance: (pairs,).
      metrics: Metrics of these pairs.
      log_scale: Use a logarithmic axis of false accept rates, which shows the low rates.
    """
    from sklearn.metrics import roc_curve

    false_accepts, true_accepts, _ = roc_curve(same, -distance)
    with svg_chart("roc-log" if log_scale else "roc") as chart:
        axes = chart.axes
        if log_scale:
            false_accepts = np.maximum(false_accepts, _MIN_FAR)
            chance = np.geomspace(_MIN_FAR, 1, 50)
            false_accept_rates = np.geomspace(_MIN_FAR, 1, _NUM_ROC_POINTS)
            axes.set_xscale("log")
            axes.set_xlim(_MIN_FAR, 1)
        else:
            chance = np.linspace(0, 1, 2)
            false_accept_rates = np.linspace(0, 1, _NUM_ROC_POINTS)
        # The highest true accept rate at each false accept rate: a step curve of bounded length.
        true_accept_rates = true_accepts[
            np.searchsorted(false_accepts, false_accept_rates, side="right") - 1
        ]
        if not log_scale:  # start at the corner where no pair is accepted
            false_accept_rates, true_accept_rates = (
                np.insert(false_accept_rates, 0, 0),
                np.insert(true_accept_rates, 0, 0),
            )
        axes.plot(chance, chance, ":", color=MUTED, linewidth=1, label="chance")
        axes.step(
            false_accept_rates, true_accept_rates, where="post", color=ACCENT, label="this model"
        )
        for at, marker, label in (
            (metrics.calibrated, "o", "calibrated threshold"),
            (metrics.fixed, "D", "fixed threshold"),
        ):
            x, y = operating_point(at)
            axes.plot(
                *(max(x, _MIN_FAR) if log_scale else x, y, marker),
                color=NEGATIVE,
                markeredgecolor=PAPER,
                label=label,
                clip_on=False,
                zorder=3,
            )
        axes.xaxis.set_major_formatter(_PERCENT_FORMATTER)
        axes.yaxis.set_major_formatter(_PERCENT_FORMATTER)
        axes.set_ylim(0, 1.02)
        axes.set(
            xlabel="false accept rate",
            ylabel="true accept rate",
        )
        axes.legend(loc="lower right")
    return chart.svg


def class_sizes(before: np.ndarray, after: np.ndarray) -> str:
    """Draw the class sizes before and after balancing as curves, for many classes.

    Args:
      before: (classes,) examples per class, the largest first.
      after: (classes,) rows per class in one round of pairs.
    """
    with svg_chart("classes") as chart:
        axes = chart.axes
        rows = np.unique(np.geomspace(1, len(before), _NUM_CURVE_POINTS).astype(int)) - 1
        axes.plot(rows + 1, before[rows], color=POSITIVE, label="before: examples")
        axes.plot(rows + 1, after[rows], "--", color=NEGATIVE, label="after: rows per round")
        axes.set_yscale("log")
        if len(before) > _NUM_CURVE_POINTS:
            axes.set_xscale("log")
        number_format = FuncFormatter(lambda number, _: f"{number:,.4g}")
        axes.xaxis.set_major_formatter(number_format)
        axes.yaxis.set_major_formatter(number_format)
        axes.yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
        axes.set(xlabel="classes, largest first", ylabel="examples")
        axes.legend()
    return chart.svg


def operating_point(at: AtThreshold) -> tuple[float, float]:
    """Return the false accept rate and the true accept rate at a threshold."""
    counts = at.confusion
    positives = counts.true_positives + counts.false_negatives
    negatives = counts.false_positives + counts.true_negatives
    return counts.false_positives / max(negatives, 1), counts.true_positives / max(positives, 1)


def _finish_epoch_chart(axes: Axes, best_epoch: int, ylabel: str) -> None:
    """Mark the best epoch, and label the axes."""
    axes.axvline(best_epoch, color=INK, linestyle=":", linewidth=1.5, label="weights kept")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set(xlabel="epoch", ylabel=ylabel)
    axes.legend()
