"""Embed images or table rows with Beam, into a folder of shards."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from diptych.inference.embed import check_output_path, no_usable_example_error
from diptych.schemas.errors import ConfigError, DataError
from diptych.schemas.files import PARTIAL_SUFFIX, atomic_folder

if TYPE_CHECKING:
    from diptych.inference.embedding_files import EmbedResult
    from diptych.inference.pushed_model import PushedModel


def embed_with_beam(
    model: "PushedModel", path: Path, out: Path, beam_args: list[str]
) -> "EmbedResult":
    """Write the embeddings of all examples at a path into a folder, atomically.

    All workers must be able to open ``path``, the model and ``out`` under the same paths: on one
    machine, or on a shared file system.

    Args:
      model: The pushed model.
      path: A table, or a folder of images or tables.
      out: Folder to create, with Parquet shards and ``_rejected`` for rejected examples.
      beam_args: Pipeline options of Beam, including the runner.

    Raises:
      ConfigError: If ``out`` exists or cannot be written, or the runner cannot be used.
      DataError: If there is nothing to embed, or the data cannot be read.
    """
    import apache_beam
    from apache_beam.options.pipeline_options import PipelineOptions

    from diptych.inference.beam_transforms import FAILED, REJECTED, EmbedPartitions
    from diptych.inference.raw_examples import find_partitions

    check_output_path(out)
    if out.exists():
        raise ConfigError(f"--out {out} already exists. Remove it, or choose another folder.")
    partitions = find_partitions(path.absolute(), model.manifest)
    with atomic_folder(out.absolute()) as tmp_path:
        for name in (REJECTED, FAILED):
            (tmp_path / name).mkdir()
        with apache_beam.Pipeline(options=PipelineOptions(beam_args)) as pipeline:
            _ = pipeline | EmbedPartitions(model.folder.absolute(), partitions, tmp_path)
        for failure in sorted((tmp_path / FAILED).iterdir()):
            raise DataError(failure.read_text(encoding="utf-8"))
        (tmp_path / FAILED).rmdir()
        for partial in tmp_path.rglob(f"*{PARTIAL_SUFFIX}"):  # from killed workers
            partial.unlink()
        result = _count_shard_rows(tmp_path, tmp_path / REJECTED)
        if not result.num_embedded:
            raise no_usable_example_error(path, result)
    return result


def _count_shard_rows(embedded: Path, rejected: Path) -> "EmbedResult":
    import pyarrow.parquet as pq

    from diptych.inference.embedding_files import EmbedResult

    reasons: Counter[str] = Counter()
    for file in sorted(rejected.glob("*.parquet")):
        reasons.update(pq.read_table(file, columns=["reason"])["reason"].to_pylist())
    rows = (pq.read_metadata(file).num_rows for file in embedded.glob("*.parquet"))
    return EmbedResult(sum(rows), reasons)
