"""Matplotlib figures as inline SVG with the colours and fonts of the page.

Charts are drawn in placeholder colours, which are replaced by CSS variables of the page so that a
chart follows the colour scheme.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, LINE, POSITIVE, NEGATIVE, ACCENT, PAPER = (f"#00000{n}" for n in range(1, 8))
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    POSITIVE: "--positive",
    NEGATIVE: "--negative",
    ACCENT: "--accent",
    PAPER: "--card",
}
_INCHES = (5.6, 3.5)  # of 72 units: text of 11 units is readable at the width of a phone
_STYLE: Any = {  # Any: matplotlib types each key
    "svg.fonttype": "none",
    "font.size": 11,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.formatter.use_mathtext": False,
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "lines.linewidth": 2,
    "lines.markersize": 7,
    "text.color": INK,
    "legend.frameon": False,
    "legend.labelcolor": INK,
    "figure.facecolor": "none",
    "figure.constrained_layout.use": True,
}


class SvgChart:
    """A chart with one pair of axes.

    Attributes:
      axes: Axes to draw on.
      svg: The SVG, set on exit from ``svg_chart``.
    """

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = ""


@contextlib.contextmanager
def svg_chart(name: str) -> Iterator[SvgChart]:
    """Yield a chart to draw on, and set its ``svg`` on exit.

    Args:
      name: Name of the chart, unique in the page: the ids in the SVG depend only on it.
    """
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=_INCHES)
        chart = SvgChart(figure.subplots())
        yield chart
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    chart.svg = _to_inline_svg(buffer.getvalue())


def _to_inline_svg(svg: str) -> str:
    """Remove ids, styles and metadata that would affect the page, and insert CSS variables."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<!--.*?-->", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)
    svg = re.sub(
        r'(<svg [^>]*?)width="[^"]*" height="[^"]*"', r'\1aria-hidden="true"', svg, count=1
    )
    svg = re.sub(r" ?font-family: [^;\"]*;?", "", svg)
    svg = re.sub(r"\s*\n\s*", " ", svg)
    for colour, variable in _VARIABLES.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg
