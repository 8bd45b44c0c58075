"""The report of a run: one HTML file that opens without network."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
import yaml

from diptych.components.evaluator.class_metrics import worst_classes
from diptych.pipeline.report import charts as figures
from diptych.pipeline.report import headline
from diptych.pipeline.report.gather import Material, gather
from diptych.pipeline.report.lineage import trace
from diptych.pipeline.runs.records import RunRecord
from diptych.schemas.evaluation import ClassFigures, Estimate
from diptych.schemas.files import whole_file

_HERE = Path(__file__).parent
_CLASSES_SHOWN = 200  # in the table
_BARS_SHOWN = 30  # classes with a bar of their own; more are drawn as one curve


def write_report(run: RunRecord, path: Path) -> None:
    """Writes the report of a run, whole or not at all.

    Raises:
      ConfigError: the run has no evaluation, or its files are gone.
    """
    page = build_report(run)
    with whole_file(path) as beside:
        beside.write_text(page, encoding="utf-8")


def build_report(run: RunRecord) -> str:
    """The page. The same run gives the same page.

    Raises:
      ConfigError: the run has no evaluation, or its files are gone.
    """
    return render(gather(run))


def render(material: Material) -> str:
    """The page of what was gathered."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,  # labels, sources and settings come from the data
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(percent=_percent, figure=_figure, interval=_interval, png=_png)
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    evaluation = material.evaluation
    return environment.get_template("page.html.j2").render(
        m=material,
        run=material.run,
        evaluation=evaluation,
        pairs=evaluation.pairs,
        cards=headline.cards(evaluation),
        plans=headline.few_shot_plans(evaluation),
        few_shot_of=headline.few_shot_of,
        operating_point=figures.operating_point,
        classes=_least_accurate(evaluation.classes),
        worst_classes=worst_classes(evaluation.classes),
        num_bars=_BARS_SHOWN,
        figures=_draw(material),
        lineage=trace(material.run),
        settings={name: _as_yaml(values) for name, values in material.settings.items()},
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        script=script,
        script_digest=f"sha256-{digest}",
    )


def _draw(material: Material) -> dict[str, str]:
    same, distance, pairs = material.same, material.distance, material.evaluation.pairs
    epochs, best = material.epochs, material.best_epoch
    drawn = {
        "loss": figures.loss_curves(epochs, best),
        "accuracy": figures.accuracy_curves(epochs, best),
        "distances": figures.distance_histogram(same, distance, pairs),
        "roc": figures.roc(same, distance, pairs, low=False),
        "roc_low": figures.roc(same, distance, pairs, low=True),
    }
    if material.classes is not None and len(material.classes.labels) > _BARS_SHOWN:
        drawn["classes"] = figures.class_sizes(material.classes.before, material.classes.after)
    return drawn


def _least_accurate(classes: tuple[ClassFigures, ...]) -> list[ClassFigures]:
    """The classes to show, the least accurate first; those without pairs last."""

    def rank(one: ClassFigures) -> tuple[bool, float, str]:
        return (one.accuracy is None, one.accuracy or 0.0, one.label)

    return sorted(classes, key=rank)[:_CLASSES_SHOWN]


def _as_yaml(values: Any) -> str:
    text: str = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    return text


def _percent(share: float | None, like: float | None = None) -> str:
    """``98.8 %``; with two digits from 99 % on and below 1 %, where a tenth says little.

    Args:
      share: None is shown as a dash.
      like: a share that is shown beside it, whose number of digits is taken.
    """
    if share is None:
        return "–"
    of = share if like is None else like
    digits = 2 if 0.99 <= of < 1 or 0 < of < 0.01 else 1
    return f"{100 * share:.{digits}f} %"


def _figure(estimate: Estimate, plain: bool = False) -> str:
    if plain and estimate.value is not None:
        return f"{estimate.value:.4f}"
    return _percent(estimate.value)


def _interval(estimate: Estimate, plain: bool = False) -> str:
    """The interval in words; empty where there is none."""
    low, high = estimate.low, estimate.high
    if low is None or high is None:
        return ""
    if plain:
        return f"{low:.4f} to {high:.4f}"
    start, end = (_percent(share, estimate.value) for share in (low, high))
    return f"{start.removesuffix(' %')} to {end}"


def _png(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
