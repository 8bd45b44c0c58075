"""Report file of a run."""

from pathlib import Path

from diptych.pipeline.runs.outcome import read_run_state
from diptych.pipeline.runs.records import RunRecord
from diptych.pipeline.workspace import report_path, run_folder
from diptych.schemas.errors import ConfigError


def ensure_report(
    run: RunRecord, root: Path, out: Path | None = None, rebuild: bool = False
) -> Path:
    """Return the path of the report, and build it and its TensorBoard folder if it is missing.

    Args:
      run: Record of the run.
      root: Pipeline root of the run.
      out: File to write, without a TensorBoard folder; None: next to the log of the run.
      rebuild: Build the report even if it exists.

    Raises:
      ConfigError: If the run was not evaluated, or its files have been pruned.
    """
    path = (out or report_path(root, run.name)).absolute()
    if path.is_file() and not rebuild and out is None:
        return path
    if run.pruned:
        raise ConfigError(
            f"The files of run {run.name} have been pruned, including its report: only the newest "
            "nightly.keep_runs runs keep theirs. diptych runs still shows its metrics."
        )
    if run.output("Evaluator", "evaluation") is None:
        state = read_run_state(run, run_folder(root, run.name))
        raise ConfigError(
            f"A report requires a completed Evaluator, but run {run.name} ended at "
            f"{run.steps[-1].name} ({state}). Select another run listed by diptych runs."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    from diptych.pipeline.report.build import write_report
    from diptych.pipeline.report.projector import write_projector

    write_report(run, path)
    if out is None:
        write_projector(run, path.parent / "tensorboard")
    return path
