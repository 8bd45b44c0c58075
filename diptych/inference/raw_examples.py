"""Raw examples from files, in the form that a pushed model takes."""

# os.path, not Path.exists: that raises on a name that is too long or lies where one may not look.
import os
import re
from collections.abc import Iterator
from pathlib import Path

from diptych.components.common.data_files import IMAGE_ENDINGS, is_table
from diptych.inference.raw_batch import Part, RawBatch
from diptych.inference.raw_images import image_file, image_folder
from diptych.inference.raw_tables import table_row, table_rows, tables_in
from diptych.schemas.errors import DataError
from diptych.schemas.manifest import ModelManifest

__all__ = ["RawBatch", "find_examples", "read_examples", "read_one"]

_ROW = re.compile(r"(.+):(\d+)")


def read_examples(path: Path, manifest: ModelManifest) -> Iterator[RawBatch]:
    """Reads all examples at a path, in the order of their names and rows.

    Args:
      path: of an image or a folder of them, whose labels are their folders below ``path``; or of a
        table (CSV or Parquet), a row of one (``birds.csv:12``), or a folder of tables.
      manifest: of the model; says what an example holds, and the bounds of images.

    Raises:
      DataError: there is nothing there, no table with the model's columns, or the one image or
        row that is named cannot be used.
    """
    for part in find_examples(path, manifest):
        yield from part.read()


def read_one(path: Path, manifest: ModelManifest) -> RawBatch:
    """Reads the one example at a path.

    Raises:
      DataError: there is none that can be used, or more than one; and as ``read_examples``.
    """
    found: list[RawBatch] = []
    rejected: list[tuple[str, str]] = []
    for batch in read_examples(path, manifest):
        rejected += batch.rejected
        found += [batch] if batch.sources else []
        if sum(len(batch.sources) for batch in found) > 1:
            raise DataError(
                f"{path} has more than one example: name one, a file or a row of a table such as "
                "data.csv:12."
            )
    if not found:
        why = f" {rejected[0][0]}: {rejected[0][1]}." if rejected else ""
        raise DataError(f"{path} has no example that can be used.{why}")
    return found[0]


def find_examples(path: Path, manifest: ModelManifest) -> list[Part]:
    """Finds what ``read_examples`` reads, in parts that may be read anywhere.

    Raises:
      DataError: there is nothing there, or no table with the model's columns.
    """
    images = manifest.inputs.kind == "image"
    # A file that really has such a name wins over the row of a table.
    row = None if os.path.exists(path) else _ROW.fullmatch(str(path))
    if row is not None and os.path.isfile(row[1]):
        if images:
            raise _other_kind(path, "a row of a table", manifest)
        return [table_row(Path(row[1]), int(row[2]), manifest)]
    if os.path.isfile(path):
        name = path.name.lower()
        if images:
            if is_table(name):
                raise _other_kind(path, "a table", manifest)
            return [image_file(path, manifest)]
        if name.endswith(IMAGE_ENDINGS):
            raise _other_kind(path, "an image", manifest)
        return table_rows([path], manifest)
    if os.path.isdir(path):
        return image_folder(path, manifest) if images else tables_in(path, manifest)
    what = "is not there" if not os.path.exists(path) else "is neither a file nor a folder"
    raise DataError(f"{path} {what}. {_wanted(manifest)}")


def _other_kind(path: Path, what: str, manifest: ModelManifest) -> DataError:
    return DataError(f"{path} is {what}. {_wanted(manifest)}")


def _wanted(manifest: ModelManifest) -> str:
    model = f"The model {manifest.name} {manifest.version} takes"
    if manifest.inputs.kind == "image":
        return f"{model} images: name a PNG, JPEG, GIF or BMP file, or a folder of them."
    names = [column.name for column in manifest.inputs.columns]
    shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
    return (
        f"{model} rows of numbers: name a CSV or Parquet file with its columns ({shown}), a folder "
        "of such, or a row of one, such as data.csv:12."
    )
