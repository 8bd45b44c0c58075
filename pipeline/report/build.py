"""Report of a run: one self-contained HTML file."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
import yaml

from diptych.components.evaluator.class_metrics import worst_classes
from diptych.pipeline.report import charts, headline
from diptych.pipeline.report.lineage import build_lineage
from diptych.pipeline.report.report_data import ReportData, read_report_data
from diptych.pipeline.runs.records import RunRecord
from diptych.schemas.data_report import (
    KIND_TEXTS,
    describe_corrections,
    describe_duplicates,
    describe_leaks,
)
from diptych.schemas.evaluation import ClassMetrics, Estimate
from diptych.schemas.files import atomic_write

_TEMPLATE_FOLDER = Path(__file__).parent
_MAX_TABLE_CLASSES = 200
_MAX_BAR_CLASSES = 30  # more classes are drawn as a curve


def write_report(run: RunRecord, path: Path) -> None:
    """Write the report of a run atomically.

    Raises:
      ConfigError: If the run has no evaluation, or its files are missing.
    """
    page = build_report(run)
    with atomic_write(path) as tmp_path:
        tmp_path.write_text(page, encoding="utf-8")


def build_report(run: RunRecord) -> str:
    """Build the HTML page of a run. The same run results in the same page.

    Raises:
      ConfigError: If the run has no evaluation, or its files are missing.
    """
    return render_report(read_report_data(run))


def render_report(data: ReportData) -> str:
    """Render the HTML page."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATE_FOLDER),
        autoescape=True,  # labels, sources and settings come from the data
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        percent=format_fraction, metric=format_metric, interval=format_interval, png=_png_data_url
    )
    script = (_TEMPLATE_FOLDER / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    evaluation = data.evaluation
    return environment.get_template("page.html.j2").render(
        data=data,
        run=data.run,
        evaluation=evaluation,
        pairs=evaluation.pairs,
        cards=headline.headline_metrics(evaluation),
        few_shot_settings=headline.few_shot_settings(evaluation),
        find_few_shot=headline.find_few_shot,
        classes=_least_accurate_classes(evaluation.classes),
        worst_classes=worst_classes(evaluation.classes),
        charts=_draw_charts(data),
        describe_duplicates=describe_duplicates,
        describe_leaks=describe_leaks,
        describe_corrections=describe_corrections,
        duplicate_kinds=KIND_TEXTS,
        lineage=build_lineage(data.run),
        settings={name: _dump_yaml(values) for name, values in data.settings.items()},
        style=(_TEMPLATE_FOLDER / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_digest=f"sha256-{digest}",
    )


def format_fraction(fraction: float | None, digits_of: float | None = None) -> str:
    """Format a fraction as a percentage such as ``98.8 %``.

    Shares below 1 % and from 99 % have two decimals, others one.

    Args:
      fraction: None is formatted as a dash.
      digits_of: Fraction that determines the number of decimals; None: ``fraction`` itself.
    """
    if fraction is None:
        return "–"
    reference = fraction if digits_of is None else digits_of
    digits = 2 if 0.99 <= reference < 1 or 0 < reference < 0.01 else 1
    return f"{100 * fraction:.{digits}f} %"


def format_metric(estimate: Estimate, plain: bool = False) -> str:
    """Format the value of a metric as a percentage, or as a number if ``plain``."""
    if plain and estimate.value is not None:
        return f"{estimate.value:.4f}"
    return format_fraction(estimate.value)


def format_interval(estimate: Estimate, plain: bool = False) -> str:
    """Format a confidence interval; a missing one is an empty string."""
    low, high = estimate.low, estimate.high
    if low is None or high is None:
        return ""
    if plain:
        return f"{low:.4f} to {high:.4f}"
    start, end = (format_fraction(fraction, estimate.value) for fraction in (low, high))
    return f"{start.removesuffix(' %')} to {end}"


def _draw_charts(data: ReportData) -> dict[str, str]:
    same, distance, pairs = data.same, data.distance, data.evaluation.pairs
    drawn = {
        "loss": charts.loss_curves(data.curves),
        "accuracy": charts.accuracy_curves(data.curves),
        "distances": charts.distance_histogram(same, distance, pairs),
        "roc": charts.roc_chart(same, distance, pairs, log_scale=False),
        "roc_log": charts.roc_chart(same, distance, pairs, log_scale=True),
    }
    if data.classes is not None and len(data.classes.labels) > _MAX_BAR_CLASSES:
        drawn["classes"] = charts.class_sizes(data.classes.before, data.classes.after)
    return drawn


def _least_accurate_classes(classes: tuple[ClassMetrics, ...]) -> list[ClassMetrics]:
    """Return the least accurate classes, worst first; classes without pairs are last."""

    def rank(one: ClassMetrics) -> tuple[bool, float, str]:
        return (one.accuracy is None, one.accuracy or 0.0, one.label)

    return sorted(classes, key=rank)[:_MAX_TABLE_CLASSES]


def _dump_yaml(values: Any) -> str:
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text


def _png_data_url(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
