"""What a night came to, as its run is recorded."""

from pathlib import Path

from diptych.pipeline.nightly.night import Figures, Night
from diptych.pipeline.runs.outcome import outcome
from diptych.pipeline.runs.records import RunRecord


def with_result(night: Night, run: RunRecord, root: Path) -> Night:
    """The night with the verdict, version and figures of its run, which came to its end."""
    found = outcome(run, root)
    rejected = run.output("ExampleGen", "rejected")
    read = rejected.properties["num_read"] if rejected else 0
    evaluation = found.evaluation
    compared = evaluation and evaluation.comparison
    figures = Figures(
        rejected=rejected.properties["num_rejected"] / read if rejected and read else None,
        accuracy=found.accuracy.value if found.accuracy else None,
        production_accuracy=compared.accuracy if compared else None,
        roc_auc=evaluation.pairs.roc_auc.value if evaluation else None,
        verdict=evaluation.reason if evaluation else None,
    )
    return night.end(
        "pushed" if found.pushed else "not blessed",
        figures=figures,
        version=found.pushed and found.pushed.version,
        report=str(found.report) if found.report.is_file() else None,
    )
