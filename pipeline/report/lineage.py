"""What was made from what: the steps of a run in a column, with an arc for each thing handed on."""

import dataclasses

from diptych.pipeline.runs.records import RunRecord

_ROW = 34  # units of the drawing
_BEND = 13  # how far to the left an arc reaches, for each row that it passes
_WIDEST = 130  # that it reaches at most
_TEXT = 250  # to the right of the arcs


@dataclasses.dataclass(frozen=True)
class Thing:
    """An artifact, and the step of the run that made it; None: another run did."""

    id: int
    type: str
    maker: str | None


@dataclasses.dataclass(frozen=True)
class Row:
    """A step: what it read and made."""

    name: str
    state: str
    seconds: float
    y: int
    inputs: tuple[Thing, ...]
    outputs: tuple[Thing, ...]


@dataclasses.dataclass(frozen=True)
class Arc:
    """From the maker of an artifact to a reader."""

    path: str  # of SVG
    text: str


@dataclasses.dataclass(frozen=True)
class Lineage:
    """The drawing, and the same for a table."""

    rows: tuple[Row, ...]
    arcs: tuple[Arc, ...]
    left: int  # where the steps stand; arcs bend to the left of it

    @property
    def width(self) -> int:
        """Of the drawing."""
        return self.left + _TEXT

    @property
    def height(self) -> int:
        """Of the drawing."""
        return _ROW * len(self.rows)


def trace(run: RunRecord) -> Lineage:
    """Draws the lineage of a run."""
    place = {step.name: _ROW * number + _ROW // 2 for number, step in enumerate(run.steps)}
    makers = {
        artifact.id: step.name
        for step in run.steps
        for given in step.outputs.values()
        for artifact in given
    }
    rows, links = [], []
    for step in run.steps:
        read, made = (
            tuple(
                Thing(artifact.id, artifact.type.removeprefix("diptych."), makers.get(artifact.id))
                for artifacts in side.values()
                for artifact in artifacts
            )
            for side in (step.inputs, step.outputs)
        )
        rows.append(Row(step.name, step.state, step.seconds, place[step.name], read, made))
        links += [(thing, thing.maker, step.name) for thing in read if thing.maker is not None]
    reaches = [_reach(place[reader] - place[maker]) for _, maker, reader in links]
    left = max(reaches, default=0) + 12
    arcs = tuple(
        Arc(
            _arc(left, reach, place[maker], place[reader]),
            f"{thing.type} #{thing.id}: {maker} to {reader}",
        )
        for (thing, maker, reader), reach in zip(links, reaches, strict=True)
    )
    return Lineage(tuple(rows), arcs, left)


def _reach(height: int) -> int:
    return min(_BEND * abs(height) // _ROW + 8, _WIDEST)


def _arc(left: int, reach: int, start: int, end: int) -> str:
    bend = left - reach * 4 // 3  # a cubic curve goes three quarters of the way to its handles
    return f"M{left} {start}C{bend} {start} {bend} {end} {left} {end}"
