"""The files of an evaluation that hold its figures."""

from pathlib import Path

import numpy as np

from diptych.components.evaluator.markdown import as_markdown
from diptych.components.evaluator.reconstructions import write_reconstructions
from diptych.schemas.evaluation import Evaluation
from diptych.schemas.files import whole_file


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    reconstructions: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    """Writes ``evaluation.json`` and ``report.md``.

    Args:
      folder: to write to; exists.
      evaluation: the figures.
      reconstructions: of a model with a decoder, see ``write_reconstructions``.
    """
    report = as_markdown(evaluation)
    if reconstructions is not None:
        picture = write_reconstructions(folder, *reconstructions)
        report += "\n## Inputs, and below what the decoder makes of their embeddings\n"
        report += f"\n![inputs and reconstructions]({picture.name})\n"
    with whole_file(folder / "report.md") as beside:
        beside.write_text(report, encoding="utf-8")
    evaluation.write(folder)
