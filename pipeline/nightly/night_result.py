"""Result of a night, read from the record of its run."""

from pathlib import Path

from diptych.pipeline.nightly.night import end_night
from diptych.pipeline.runs.outcome import read_run_outcome
from diptych.pipeline.runs.records import RunRecord
from diptych.schemas.night import Night, NightMetrics


def record_result(night: Night, run: RunRecord, root: Path) -> Night:
    """Return the state of the night with the verdict, version and metrics of its complete run."""
    result = read_run_outcome(run, root)
    rejected = run.output("ExampleGen", "rejected")
    num_read = rejected.properties["num_read"] if rejected else 0
    evaluation = result.evaluation
    production = evaluation and evaluation.production
    metrics = NightMetrics(
        rejected=rejected.properties["num_rejected"] / num_read if rejected and num_read else None,
        accuracy=result.accuracy.value if result.accuracy else None,
        production_accuracy=production.accuracy if production else None,
        baseline_accuracy=evaluation.raw_distance.comparison.accuracy if evaluation else None,
        roc_auc=evaluation.pairs.roc_auc.value if evaluation else None,
        verdict=evaluation.reason if evaluation else None,
    )
    return end_night(
        night,
        "pushed" if result.pushed else "not blessed",
        metrics=metrics,
        version=result.pushed and result.pushed.version,
        report=str(result.report) if result.report.is_file() else None,
    )
