"""Files of the suspected label errors: a CSV file to edit, and a table with pictures."""

import csv
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from diptych.components.common.exported_model import ExportedModel
from diptych.components.evaluator.class_metrics import decode_label
from diptych.components.evaluator.label_errors import LabelErrors, find_label_errors
from diptych.components.evaluator.labelled_examples import (
    LabelledEmbeddings,
    RawSplit,
    embed_labelled_examples,
)
from diptych.components.evaluator.pairwise_distances import EmbeddingDistance
from diptych.components.evaluator.thumbnails import render_thumbnails
from diptych.schemas.evaluation import (
    LABEL_ERRORS_COLUMNS,
    LABEL_ERRORS_FILE,
    SHOWN_LABEL_ERRORS_SCHEMA,
    LabelErrorSummary,
)
from diptych.schemas.files import atomic_write
from diptych.schemas.input_spec import InputSpec

_MAX_SHOWN = 24
_MAX_NEIGHBOURS_SHOWN = 5


def find_and_write_label_errors(
    folder: Path, splits: Mapping[str, RawSplit], inputs: InputSpec, model: ExportedModel
) -> LabelErrorSummary:
    """Find suspected label errors in raw examples; see ``write_label_errors``."""
    files = [file for split in splits.values() for file in split.files]
    return write_label_errors(
        folder,
        embed_labelled_examples(splits, inputs, model),
        model,
        lambda ids: render_thumbnails(files, inputs, ids),
    )


def write_label_errors(
    folder: Path,
    examples: LabelledEmbeddings,
    distance: EmbeddingDistance,
    render: Callable[[npt.NDArray[np.uint8]], list[bytes]],
) -> LabelErrorSummary:
    """Find suspected label errors, and write ``suspected_label_errors.csv`` and a table.

    Args:
      folder: Existing folder to write to.
      examples: Held-out and training examples.
      distance: Distance of the model.
      render: Function from (m, 16) ids, distinct and sorted, to PNG thumbnails.
    """
    names, classes = np.unique(examples.labels, return_inverse=True)
    errors = find_label_errors(examples.embeddings, classes, examples.held_out, distance)
    labels = [decode_label(name) for name in names]
    rows = [
        (
            decode_label(examples.sources[row]),
            labels[classes[row]],
            labels[suggested],
            round(float(score), 4),
        )
        for row, suggested, score in zip(errors.row, errors.suggested, errors.score, strict=True)
    ]
    with (
        atomic_write(folder / LABEL_ERRORS_FILE) as tmp_path,
        tmp_path.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(LABEL_ERRORS_COLUMNS)
        writer.writerows(rows)
    shown = errors.row[:_MAX_SHOWN]
    neighbours = errors.neighbours[:_MAX_SHOWN, :_MAX_NEIGHBOURS_SHOWN]
    used = np.concatenate([shown, neighbours[neighbours >= 0]])
    keys = examples.ids[used].view(f"V{examples.ids.shape[1]}").ravel()
    _, first = np.unique(keys, return_index=True)
    rendered = examples.ids[used][first]
    pictures = render(rendered) if len(rendered) else []
    picture_of = {bytes(key): picture for key, picture in zip(rendered, pictures, strict=True)}

    def thumbnail(row: int) -> bytes:
        return picture_of[bytes(examples.ids[row])]

    neighbour_rows = [[row for row in near.tolist() if row >= 0] for near in neighbours]
    table = pa.table(
        [
            *(list(column) for column in zip(*rows[:_MAX_SHOWN], strict=True)),
            [thumbnail(row) for row in shown],
            [[labels[classes[row]] for row in near] for near in neighbour_rows],
            [[thumbnail(row) for row in near] for near in neighbour_rows],
        ]
        if rows
        else [[] for _ in SHOWN_LABEL_ERRORS_SCHEMA],
        schema=SHOWN_LABEL_ERRORS_SCHEMA,
    )
    with atomic_write(folder / "label_errors.parquet") as tmp_path:
        pq.write_table(table, tmp_path)
    return LabelErrorSummary(
        judged=errors.num_judged,
        suspected=len(errors.row),
        agreement=errors.agreement,
        notes=_describe_unjudged(errors, examples.num_skipped, labels),
    )


def _describe_unjudged(errors: LabelErrors, num_skipped: int, labels: list[str]) -> tuple[str, ...]:
    notes = []
    if errors.agreement is not None and not errors.is_reliable:
        notes.append(
            f"No label error is suspected, because the nearest neighbours agree with only "
            f"{errors.agreement:.2%} of the labels: the embedding does not separate the classes."
        )
    if errors.num_too_rare:
        notes.append(
            f"{errors.num_too_rare:,} examples were not judged, because their class has fewer than "
            "5 other examples."
        )
    if errors.confused:
        notes.append(
            f"{len(errors.confused):,} classes have no suspected label errors, because most "
            "neighbours of more than a third of their examples belong to another class: "
            f"{', '.join(labels[index] for index in errors.confused[:5])}"
            f"{' and others' if len(errors.confused) > 5 else ''}."
        )
    if num_skipped:
        notes.append(f"{num_skipped:,} more examples were not judged: 10,000 of each split are.")
    return tuple(notes)
