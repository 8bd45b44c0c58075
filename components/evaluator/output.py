"""The files of an evaluation that hold its figures and its pairs."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.evaluator.judged import Judged
from diptych.components.evaluator.markdown import as_markdown
from diptych.components.evaluator.reconstructions import write_reconstructions
from diptych.schemas.evaluation import PAIRS, Evaluation
from diptych.schemas.files import whole_file


def write_evaluation(
    folder: Path,
    evaluation: Evaluation,
    judged: Judged,
    ids: np.ndarray,
    reconstructions: tuple[np.ndarray, np.ndarray] | None,
) -> None:
    """Writes ``evaluation.json``, ``report.md`` and ``pairs.parquet``.

    Args:
      folder: to write to.
      evaluation: the figures.
      judged: the pairs, with the distances of the new model.
      ids: (n, 16) uint8 of the examples.
      reconstructions: of a model with a decoder, see ``write_reconstructions``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    report = as_markdown(evaluation)
    if reconstructions is not None:
        picture = write_reconstructions(folder, *reconstructions)
        report += "\n## Inputs, and below what the decoder makes of their embeddings\n"
        report += f"\n![inputs and reconstructions]({picture.name})\n"
    with whole_file(folder / "pairs.parquet") as beside:
        pq.write_table(_pairs_table(judged, ids), beside)
    with whole_file(folder / "report.md") as beside:
        beside.write_text(report, encoding="utf-8")
    evaluation.write(folder)


def _pairs_table(judged: Judged, ids: np.ndarray) -> pa.Table:
    column = pa.FixedSizeBinaryArray.from_buffers(
        pa.binary(ids.shape[1]), len(ids), [None, pa.py_buffer(ids.tobytes())]
    )
    columns = [
        column.take(pa.array(judged.left)),
        column.take(pa.array(judged.right)),
        pa.array(judged.same, pa.int8()),
        pa.array(judged.distance, pa.float32()),
    ]
    return pa.table(columns, schema=PAIRS)
