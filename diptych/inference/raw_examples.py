"""Read raw examples for a pushed model from image files and tables."""

# os.path instead of Path.exists, which raises on names that are too long or in unreadable folders.
import os
import re
from collections.abc import Iterator
from pathlib import Path

from diptych.components.common.data_files import IMAGE_EXTENSIONS, has_table_extension
from diptych.components.common.file_types import format_list
from diptych.inference.raw_batch import InputPartition, RawBatch
from diptych.inference.raw_images import image_folder_partitions, single_image_partition
from diptych.inference.raw_tables import (
    single_row_partition,
    table_folder_partitions,
    table_partitions,
)
from diptych.schemas.errors import DataError
from diptych.schemas.manifest import ModelManifest

_TABLE_ROW = re.compile(r"(.+):(\d+)")


def read_examples(path: Path, manifest: ModelManifest) -> Iterator[RawBatch]:
    """Read all examples at a path, sorted by file name and row.

    Args:
      path: An image; a folder of images, whose labels are their subfolders; a table (CSV or
        Parquet); a row of a table (``birds.csv:12``); or a folder of tables.
      manifest: Manifest of the model, which defines the inputs and the limits of images.

    Raises:
      DataError: If there are no examples at the path, a table lacks columns of the model, or the
        named image or row is unusable.
    """
    for partition in find_partitions(path, manifest):
        yield from partition.read()


def read_single_example(path: Path, manifest: ModelManifest) -> RawBatch:
    """Read the only example at a path.

    Raises:
      DataError: If there is not exactly one usable example; and as ``read_examples``.
    """
    batches: list[RawBatch] = []
    rejected: list[tuple[str, str]] = []
    for batch in read_examples(path, manifest):
        rejected += batch.rejected
        batches += [batch] if batch.sources else []
        if sum(len(batch.sources) for batch in batches) > 1:
            raise DataError(
                f"{path} has more than one example. Pass a single image, or a row of a table such "
                "as data.csv:12."
            )
    if not batches:
        reason = f" {rejected[0][0]}: {rejected[0][1]}." if rejected else ""
        raise DataError(f"{path} has no usable example.{reason}")
    return batches[0]


def find_partitions(path: Path, manifest: ModelManifest) -> list[InputPartition]:
    """Split the examples at a path into partitions that can be read on any worker.

    Args:
      path: As for ``read_examples``.
      manifest: As for ``read_examples``.

    Raises:
      DataError: If there is no data at the path, or a table lacks columns of the model.
    """
    takes_images = manifest.inputs.kind == "image"
    # An existing file with such a name has priority over the row of a table.
    row = None if os.path.exists(path) else _TABLE_ROW.fullmatch(str(path))
    if row is not None and os.path.isfile(row[1]):
        if takes_images:
            raise _wrong_kind_error(path, "a row of a table", manifest)
        return [single_row_partition(Path(row[1]), int(row[2]), manifest)]
    if os.path.isfile(path):
        name = path.name.lower()
        if takes_images:
            if has_table_extension(name):
                raise _wrong_kind_error(path, "a table", manifest)
            return [single_image_partition(path, manifest)]
        if name.endswith(IMAGE_EXTENSIONS):
            raise _wrong_kind_error(path, "an image", manifest)
        return table_partitions([path], manifest)
    if os.path.isdir(path):
        if takes_images:
            return image_folder_partitions(path, manifest)
        return table_folder_partitions(path, manifest)
    problem = "does not exist" if not os.path.exists(path) else "is neither a file nor a folder"
    raise DataError(f"{path} {problem}. {_describe_expected_inputs(manifest)}")


def _wrong_kind_error(path: Path, kind: str, manifest: ModelManifest) -> DataError:
    return DataError(f"{path} is {kind}. {_describe_expected_inputs(manifest)}")


def _describe_expected_inputs(manifest: ModelManifest) -> str:
    model = f"The model {manifest.name} {manifest.version} takes"
    if manifest.inputs.kind == "image":
        return f"{model} images: pass a {format_list()} file, or a folder of them."
    names = [column.name for column in manifest.inputs.columns]
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return (
        f"{model} rows of numbers: pass a CSV or Parquet file with its columns ({shown}), a folder "
        "of such files, or a single row such as data.csv:12."
    )
