"""Figures of matplotlib as SVG that stands in the page: its colours, its fonts, no outside.

Colours are drawn as stand-ins and then replaced by the variables of the page's style sheet, so
that a figure changes with the colour scheme.
"""

import contextlib
import io
import re
from collections.abc import Iterator
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

INK, MUTED, LINE, SAME, DIFFERENT, ACCENT, PAPER = (f"#00000{n}" for n in range(1, 8))
_VARIABLES = {
    INK: "--ink",
    MUTED: "--muted",
    LINE: "--line",
    SAME: "--same",
    DIFFERENT: "--different",
    ACCENT: "--accent",
    PAPER: "--card",
}
_INCHES = (5.6, 3.5)  # of 72 units each: text of 11 units can be read at the width of a phone
_STYLE: Any = {  # matplotlib types every key of it
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


class Drawing:
    """A figure with one pair of axes, and its SVG once it is drawn."""

    def __init__(self, axes: Axes) -> None:
        self.axes = axes
        self.svg = ""


@contextlib.contextmanager
def drawing(name: str) -> Iterator[Drawing]:
    """Gives axes to draw on; at the end ``svg`` is there.

    Args:
      name: of the figure, unique in the page: the ids inside depend on it alone.
    """
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=_INCHES)
        drawn = Drawing(figure.subplots())
        yield drawn
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    drawn.svg = _inline(text.getvalue())


def _inline(svg: str) -> str:
    """Strips what a page must not have twice or would apply to all of it, and sets variables."""
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
