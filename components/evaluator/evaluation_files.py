"""Files of an evaluation that contain its metrics."""

from pathlib import Path

import numpy as np

from diptych.components.evaluator.markdown import format_markdown_report
from diptych.components.evaluator.reconstructions import write_reconstructions
from diptych.schemas.evaluation import EvaluationReport
from diptych.schemas.files import atomic_write


def write_evaluation_files(
    folder: Path,
    report: EvaluationReport,
    reconstructions: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    """Write ``evaluation.json`` and ``report.md``.

    Args:
      folder: Existing folder to write to.
      report: Evaluation report.
      reconstructions: Inputs and reconstructions of a model with a decoder, see
        ``write_reconstructions``.
    """
    text = format_markdown_report(report)
    if reconstructions is not None:
        image = write_reconstructions(folder, *reconstructions)
        text += "\n## Reconstructions\n\nTop: inputs. Bottom: reconstructions by the decoder.\n"
        text += f"\n![inputs and reconstructions]({image.name})\n"
    with atomic_write(folder / "report.md") as tmp_path:
        tmp_path.write_text(text, encoding="utf-8")
    report.write(folder)
