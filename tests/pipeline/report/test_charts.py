import re

import numpy as np
import pytest
from synthetic_runs import estimate, verification_of

from diptych.pipeline.report import charts
from diptych.pipeline.report.svg import ACCENT, svg_chart
from diptych.schemas.evaluation import AtThreshold, Confusion


def metrics_at_threshold(*counts):
    names = ("true_positives", "false_negatives")
    names += ("false_positives", "true_negatives")
    return AtThreshold(
        threshold=0.5,
        confusion=Confusion(**dict(zip(names, counts, strict=True))),
        **dict.fromkeys(("accuracy", "precision", "recall", "f1"), estimate(0.9)),
    )


def test_operating_point_is_the_false_and_true_accept_rate():
    assert charts.operating_point(metrics_at_threshold(30, 10, 1, 99)) == (0.01, 0.75)


def test_a_chart_uses_the_colours_of_the_page():
    with svg_chart("a") as chart:
        chart.axes.plot([1, 2], [3, 4], color=ACCENT)
        chart.axes.set_xlabel("distance")
    assert "stroke: var(--accent)" in chart.svg
    assert ">distance</text>" in chart.svg  # text, not outlines
    for forbidden in ("#0000", "<style", "<metadata", "DOCTYPE", "font-family", "http://purl"):
        assert forbidden not in chart.svg


def test_charts_of_a_page_share_no_ids():
    svgs = []
    for name in ("a", "b", "a"):
        with svg_chart(name) as chart:
            chart.axes.plot([1, 2], [3, 4], "o")
        svgs.append(chart.svg)
    first, second = (set(re.findall(r' id="([^"]*)"', svg)) for svg in svgs[:2])
    assert first
    assert not first & second
    assert svgs[0] == svgs[2]


@pytest.mark.parametrize("num_classes", [2, 1_000_000])
def test_the_chart_of_class_sizes_has_bounded_length(num_classes):
    sizes = np.linspace(900, 1, num_classes).round()
    assert len(charts.class_sizes(sizes, np.full(num_classes, 900.0))) < 60_000


def test_charts_of_a_million_pairs_have_bounded_length():
    generator = np.random.default_rng(0)
    same = generator.random(1_000_000) < 0.5
    distance = generator.normal(1 - 0.5 * same, 0.3).clip(0).astype(np.float32)
    verification = verification_of(same, distance)
    assert len(charts.roc_chart(same, distance, verification, log_scale=False)) < 60_000
    assert len(charts.roc_chart(same, distance, verification, log_scale=True)) < 60_000
    assert len(charts.distance_histogram(same, distance, verification)) < 60_000
