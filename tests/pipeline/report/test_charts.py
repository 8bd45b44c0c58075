import re

import numpy as np
import pytest
from made_runs import estimate, verification_of

from diptych.pipeline.report import charts as figures
from diptych.pipeline.report.svg import ACCENT, drawing
from diptych.schemas.evaluation import AtThreshold, Confusion


def at(*counts):
    names = ("same_called_same", "same_called_different")
    names += ("different_called_same", "different_called_different")
    return AtThreshold(
        threshold=0.5,
        confusion=Confusion(**dict(zip(names, counts, strict=True))),
        **dict.fromkeys(("accuracy", "precision", "recall", "f1"), estimate(0.9)),
    )


def test_operating_point_is_the_rates_of_both_kinds():
    assert figures.operating_point(at(30, 10, 1, 99)) == (0.01, 0.75)


def test_figure_takes_its_colours_from_the_page():
    with drawing("a") as drawn:
        drawn.axes.plot([1, 2], [3, 4], color=ACCENT)
        drawn.axes.set_xlabel("distance")
    assert "stroke: var(--accent)" in drawn.svg
    assert ">distance</text>" in drawn.svg  # text, not outlines
    for forbidden in ("#0000", "<style", "<metadata", "DOCTYPE", "font-family", "http://purl"):
        assert forbidden not in drawn.svg


def test_figures_of_a_page_share_no_ids():
    svgs = []
    for name in ("a", "b", "a"):
        with drawing(name) as drawn:
            drawn.axes.plot([1, 2], [3, 4], "o")
        svgs.append(drawn.svg)
    first, second = (set(re.findall(r' id="([^"]*)"', svg)) for svg in svgs[:2])
    assert first
    assert not first & second
    assert svgs[0] == svgs[2]


@pytest.mark.parametrize("many", [2, 1_000_000])
def test_curve_of_class_sizes_is_as_long_for_a_million_as_for_few(many):
    sizes = np.linspace(900, 1, many).round()
    assert len(figures.class_sizes(sizes, np.full(many, 900.0))) < 60_000


def test_figures_of_a_million_pairs_are_short():
    generator = np.random.default_rng(0)
    same = generator.random(1_000_000) < 0.5
    distance = generator.normal(1 - 0.5 * same, 0.3).clip(0).astype(np.float32)
    verification = verification_of(same, distance)
    assert len(figures.roc(same, distance, verification, low=False)) < 60_000
    assert len(figures.roc(same, distance, verification, low=True)) < 60_000
    assert len(figures.distance_histogram(same, distance, verification)) < 60_000
