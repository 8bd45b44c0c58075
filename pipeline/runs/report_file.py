"""Where the report of a run is, and how it comes there."""

from pathlib import Path

from diptych.pipeline.runs.outcome import state_of
from diptych.pipeline.runs.records import RunRecord
from diptych.pipeline.workspace import report_path, run_folder
from diptych.schemas.errors import ConfigError


def report_of(run: RunRecord, root: Path, out: Path | None = None, rebuild: bool = False) -> Path:
    """The report of a run; it is built if it is not there, and beside it what TensorBoard shows.

    Args:
      run: the run.
      root: it is kept in.
      out: a place of its own, for the report alone; None: with the log of the run.
      rebuild: whether to build it even if it is there.

    Raises:
      ConfigError: the run was not evaluated.
    """
    path = (out or report_path(root, run.name)).absolute()
    if path.is_file() and not rebuild and out is None:
        return path
    if run.pruned:
        raise ConfigError(
            f"The files of the run {run.name} have been pruned, and with them its report: the "
            "newest nightly.keep_runs are kept. diptych runs still has its figures."
        )
    if run.output("Evaluator", "evaluation") is None:
        state = state_of(run, run_folder(root, run.name))
        raise ConfigError(
            f"A report needs the figures of the Evaluator, and the run {run.name} came to "
            f"{run.steps[-1].name} ({state}). diptych runs lists those that came further."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    from diptych.pipeline.report.build import write_report
    from diptych.pipeline.report.projector import write_projector

    write_report(run, path)
    if out is None:
        write_projector(run, path.parent / "tensorboard")
    return path
