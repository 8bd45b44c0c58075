"""Lineage of a run: its steps in a column, with an arc for each artifact passed between them."""

import dataclasses

from diptych.pipeline.runs.records import RunRecord

_ROW_HEIGHT = 34  # units of the SVG
_REACH_PER_ROW = 13  # of an arc to the left, for each row it spans
_MAX_REACH = 130
_TEXT_WIDTH = 250


@dataclasses.dataclass(frozen=True)
class LineageArtifact:
    """An artifact, and the step of the run that wrote it; None: an earlier run wrote it."""

    id: int
    type: str
    producer: str | None


@dataclasses.dataclass(frozen=True)
class LineageStep:
    """A step with its inputs and outputs."""

    name: str
    state: str
    seconds: float
    y: int
    inputs: tuple[LineageArtifact, ...]
    outputs: tuple[LineageArtifact, ...]


@dataclasses.dataclass(frozen=True)
class LineageArc:
    """Arc from the producer of an artifact to a consumer."""

    path: str  # SVG path
    text: str


@dataclasses.dataclass(frozen=True)
class Lineage:
    """Steps and arcs of the lineage chart and the lineage table."""

    steps: tuple[LineageStep, ...]
    arcs: tuple[LineageArc, ...]
    left: int  # x of the steps; arcs bend to the left of it

    @property
    def width(self) -> int:
        """Width of the chart."""
        return self.left + _TEXT_WIDTH

    @property
    def height(self) -> int:
        """Height of the chart."""
        return _ROW_HEIGHT * len(self.steps)


def build_lineage(run: RunRecord) -> Lineage:
    """Lay out the lineage of a run."""
    y = {
        step.name: _ROW_HEIGHT * number + _ROW_HEIGHT // 2 for number, step in enumerate(run.steps)
    }
    producers = {
        artifact.id: step.name
        for step in run.steps
        for artifacts in step.outputs.values()
        for artifact in artifacts
    }
    steps, links = [], []
    for step in run.steps:
        inputs, outputs = (
            tuple(
                LineageArtifact(
                    artifact.id,
                    artifact.type.removeprefix("diptych."),
                    producers.get(artifact.id),
                )
                for artifacts in by_key.values()
                for artifact in artifacts
            )
            for by_key in (step.inputs, step.outputs)
        )
        steps.append(
            LineageStep(step.name, step.state, step.seconds, y[step.name], inputs, outputs)
        )
        links += [
            (artifact, artifact.producer, step.name)
            for artifact in inputs
            if artifact.producer is not None
        ]
    reaches = [_arc_reach(y[consumer] - y[producer]) for _, producer, consumer in links]
    left = max(reaches, default=0) + 12
    arcs = tuple(
        LineageArc(
            _arc_path(left, reach, y[producer], y[consumer]),
            f"{artifact.type} #{artifact.id}: {producer} to {consumer}",
        )
        for (artifact, producer, consumer), reach in zip(links, reaches, strict=True)
    )
    return Lineage(tuple(steps), arcs, left)


def _arc_reach(height: int) -> int:
    return min(_REACH_PER_ROW * abs(height) // _ROW_HEIGHT + 8, _MAX_REACH)


def _arc_path(left: int, reach: int, start: int, end: int) -> str:
    x = left - reach * 4 // 3  # a cubic curve reaches three quarters of the way to its handles
    return f"M{left} {start}C{x} {start} {x} {end} {left} {end}"
