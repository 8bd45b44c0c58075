"""Many examples as embeddings, by Beam: a folder of shards."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from diptych.inference.embed import check_place, nothing_embedded
from diptych.schemas.errors import ConfigError, DataError
from diptych.schemas.files import HALF, whole_folder

if TYPE_CHECKING:
    from diptych.inference.embedding_files import Written
    from diptych.inference.pushed_model import PushedModel


def embed_with_beam(model: "PushedModel", path: Path, out: Path, arguments: list[str]) -> "Written":
    """Writes the embeddings of all examples at a path into a folder, whole or not at all.

    Every worker must find ``path``, the model and ``out`` under the same names: on one machine, or
    on a disk that all have mounted.

    Args:
      model: the pushed one.
      path: a table, or a folder of images or tables.
      out: folder to make, of Parquet shards, with ``_rejected`` for those that are set aside.
      arguments: Beam's own, which name the engine.

    Raises:
      ConfigError: ``out`` is there already or cannot be written, or the engine cannot be used.
      DataError: there is nothing to embed, or it cannot be read.
    """
    import apache_beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from diptych.inference.beam_transforms import FAILED, REJECTED, EmbedParts
    from diptych.inference.raw_examples import find_examples

    check_place(out)
    if out.exists():
        raise ConfigError(f"--out {out} is there already. Remove it, or name another folder.")
    parts = find_examples(path.absolute(), model.manifest)
    with whole_folder(out.absolute()) as beside:
        for name in (REJECTED, FAILED):
            (beside / name).mkdir()
        with apache_beam.Pipeline(options=PipelineOptions(arguments)) as pipeline:
            _ = pipeline | EmbedParts(model.folder.absolute(), parts, beside)
        for failure in sorted((beside / FAILED).iterdir()):
            raise DataError(failure.read_text(encoding="utf-8"))
        (beside / FAILED).rmdir()
        for half in beside.rglob(f"*{HALF}"):  # of workers that were killed
            half.unlink()
        written = _counted(beside, beside / REJECTED)
        if not written.num_embedded:
            raise nothing_embedded(path, written)
    return written


def _counted(embedded: Path, rejected: Path) -> "Written":
    import pyarrow.parquet as pq

    from diptych.inference.embedding_files import Written

    reasons: Counter[str] = Counter()
    for file in sorted(rejected.glob("*.parquet")):
        reasons.update(pq.read_table(file, columns=["reason"])["reason"].to_pylist())
    rows = (pq.read_metadata(file).num_rows for file in embedded.glob("*.parquet"))
    return Written(sum(rows), reasons)
