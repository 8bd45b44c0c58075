"""A folder for TensorBoard: the scalars of a run's training, and its embeddings to fly through.

The projector reads ``projector_config.pbtxt``, which names the other files: ``tensors.tsv``,
``metadata.tsv`` and ``sprite.png``, all pictures in one.
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

from diptych.pipeline.report.points import evenly
from diptych.pipeline.runs.records import RunRecord
from diptych.schemas.errors import ConfigError
from diptych.schemas.files import whole_file

_SHOWN = 10_000  # examples, evenly chosen; a browser turns no more without a hitch
_SPRITE_SIDE = 8192  # pixels that the projector takes
_THUMBNAIL_SIDE = 64
_CONFIG = """embeddings {{
  tensor_name: "test embeddings"
  tensor_path: "tensors.tsv"
  metadata_path: "metadata.tsv"
{sprite}}}
"""
_SPRITE = """  sprite {{
    image_path: "sprite.png"
    single_image_dim: {side}
    single_image_dim: {side}
  }}
"""


def write_projector(run: RunRecord, folder: Path) -> None:
    """Writes the folder; ``tensorboard --logdir FOLDER`` then shows curves and embeddings.

    The events of the training are copied, as the artifact of the Trainer stays as it is.

    Raises:
      ConfigError: the run has no evaluation.
    """
    evaluation, log = run.output("Evaluator", "evaluation"), run.output("Trainer", "training_log")
    if evaluation is None or log is None:
        raise ConfigError(
            f"No embeddings of the run {run.name}: needed is its evaluation. Run the "
            "configuration again."
        )
    folder.mkdir(parents=True, exist_ok=True)
    for events in sorted((log.path / "tensorboard").glob("events.*")):
        with whole_file(folder / events.name) as beside:
            shutil.copyfile(events, beside)
    examples = pa.dataset.dataset(evaluation.path / "embeddings.parquet")
    rows = evenly(examples.count_rows(), _SHOWN)
    table = examples.take(pa.array(rows), columns=["label", "seen", "embedding", "picture"])
    embeddings = table["embedding"].combine_chunks()
    values = embeddings.flatten().to_numpy().reshape(len(table), embeddings.type.list_size)
    with whole_file(folder / "tensors.tsv") as beside:
        np.savetxt(beside, values, fmt="%.6g", delimiter="\t")
    _write_text(folder / "metadata.tsv", _metadata(table))
    pictures = table["picture"].to_pylist()
    sprite = ""
    if any(pictures):
        side = _write_sprite(folder / "sprite.png", pictures)
        sprite = _SPRITE.format(side=side)
    _write_text(folder / "projector_config.pbtxt", _CONFIG.format(sprite=sprite))


def _metadata(table: pa.Table) -> str:
    """A line an example; a tab or the end of a line within a label is a space."""
    labels = [re.sub(r"\s", " ", label or "") for label in table["label"].to_pylist()]
    seen = ["yes" if known else "no" for known in table["seen"].to_pylist()]
    return "\n".join(map("\t".join, [("label", "in training"), *zip(labels, seen, strict=True)]))


def _write_sprite(path: Path, pictures: list[bytes | None]) -> int:
    """Writes the pictures row by row into a square grid; returns the side of a cell in pixels."""
    across = math.ceil(math.sqrt(len(pictures)))
    side = min(_THUMBNAIL_SIDE, _SPRITE_SIDE // across)
    sprite = Image.new("RGB", (across * side, across * side), "white")
    for number, content in enumerate(pictures):
        if content is None:
            continue
        with Image.open(io.BytesIO(content)) as picture:
            thumbnail = picture.convert("RGB")
        scale = side / max(thumbnail.size)
        thumbnail = thumbnail.resize([max(1, round(scale * length)) for length in thumbnail.size])
        left, top = ((side - length) // 2 for length in thumbnail.size)
        sprite.paste(thumbnail, (number % across * side + left, number // across * side + top))
    with whole_file(path) as beside:
        sprite.save(beside, format="PNG")
    return side


def _write_text(path: Path, text: str) -> None:
    with whole_file(path) as beside:
        beside.write_text(f"{text.rstrip()}\n", encoding="utf-8")
