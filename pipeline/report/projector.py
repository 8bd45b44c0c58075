"""TensorBoard folder of a run: the training scalars, and the embeddings for the projector.

The projector reads ``projector_config.pbtxt``, which refers to the other files: ``tensors.tsv``,
``metadata.tsv`` and ``sprite.png``, which contains all thumbnails.
"""

import io
import math
import re
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset
from PIL import Image

from diptych.components.common.sampling import evenly_spaced
from diptych.pipeline.runs.records import RunRecord
from diptych.schemas.errors import ConfigError
from diptych.schemas.files import atomic_write

_MAX_EXAMPLES = 10_000  # more make the projector slow
_MAX_SPRITE_SIDE = 8192  # pixels, limit of the projector
_THUMBNAIL_SIDE = 64
_PROJECTOR_CONFIG = """embeddings {{
  tensor_name: "test embeddings"
  tensor_path: "tensors.tsv"
  metadata_path: "metadata.tsv"
{sprite}}}
"""
_SPRITE_CONFIG = """  sprite {{
    image_path: "sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
"""


def write_projector(run: RunRecord, folder: Path) -> None:
    """Write a folder for ``tensorboard --logdir FOLDER``.

    The event files of the training are copied, so the artifact of the Trainer is not modified.

    Raises:
      ConfigError: If the run has no evaluation.
    """
    evaluation, log = run.output("Evaluator", "evaluation"), run.output("Trainer", "training_log")
    if evaluation is None or log is None:
        raise ConfigError(
            f"Run {run.name} has no embeddings, because it has no evaluation. Run the "
            "configuration again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for events in sorted((log.path / "tensorboard").glob("events.*")):
        with atomic_write(folder / events.name) as tmp_path:
            shutil.copyfile(events, tmp_path)
    examples = pa.dataset.dataset(evaluation.path / "embeddings.parquet")
    rows = evenly_spaced(examples.count_rows(), _MAX_EXAMPLES)
    table = examples.take(pa.array(rows), columns=["label", "seen", "embedding", "thumbnail"])
    embeddings = table["embedding"].combine_chunks()
    values = embeddings.flatten().to_numpy().reshape(len(table), embeddings.type.list_size)
    with atomic_write(folder / "tensors.tsv") as tmp_path:
        np.savetxt(tmp_path, values, fmt="%.6g", delimiter="\t")
    _write_text_file(folder / "metadata.tsv", _format_metadata(table))
    thumbnails = table["thumbnail"].to_pylist()
    sprite = ""
    if any(thumbnails):
        side = _write_sprite(folder / "sprite.png", thumbnails)
        sprite = _SPRITE_CONFIG.format(side=side)
    _write_text_file(folder / "projector_config.pbtxt", _PROJECTOR_CONFIG.format(sprite=sprite))


def _format_metadata(table: pa.Table) -> str:
    """Format one line per example; tabs and line breaks in labels become spaces."""
    labels = [re.sub(r"\s", " ", label or "") for label in table["label"].to_pylist()]
    seen = ["yes" if each else "no" for each in table["seen"].to_pylist()]
    return "\n".join(map("\t".join, [("label", "in training"), *zip(labels, seen, strict=True)]))


def _write_sprite(path: Path, thumbnails: list[bytes | None]) -> int:
    """Write the thumbnails into a square grid, and return the side of a cell in pixels."""
    columns = math.ceil(math.sqrt(len(thumbnails)))
    side = min(_THUMBNAIL_SIDE, _MAX_SPRITE_SIDE // columns)
    sprite = Image.new("RGB", (columns * side, columns * side), "white")
    for number, content in enumerate(thumbnails):
        if content is None:
            continue
        with Image.open(io.BytesIO(content)) as image:
            thumbnail = image.convert("RGB")
        scale = side / max(thumbnail.size)
        thumbnail = thumbnail.resize([max(1, round(scale * length)) for length in thumbnail.size])
        left, top = ((side - length) // 2 for length in thumbnail.size)
        sprite.paste(thumbnail, (number % columns * side + left, number // columns * side + top))
    with atomic_write(path) as tmp_path:
        sprite.save(tmp_path, format="PNG")
    return side


def _write_text_file(path: Path, text: str) -> None:
    with atomic_write(path) as tmp_path:
        tmp_path.write_text(f"{text.rstrip()}\n", encoding="utf-8")
