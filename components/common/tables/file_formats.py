"""Recognize the format of a table file by its content, and name formats that are not read."""

import re
import zipfile
from pathlib import Path
from typing import Literal

import pyarrow as pa

from diptych.components.common.data_files import to_printable
from diptych.schemas.errors import DataError

TableFormat = Literal["csv", "parquet", "arrow", "json"]

_EXTENSIONS: dict[TableFormat, tuple[str, ...]] = {
    "parquet": (".parquet", ".pq"),
    "arrow": (".feather", ".arrow", ".ipc"),
    "json": (".jsonl", ".ndjson", ".json"),
}
ARROW_STREAM_START = b"\xff\xff\xff\xff"
"""First bytes of an Arrow IPC stream, such as the files of Hugging Face data sets."""
_COMPRESSIONS = (".gz", ".bz2", ".zst")

_AS_CSV = "Save the table as CSV (UTF-8) or Parquet."
_AS_PARQUET = "Write its arrays as columns of a Parquet file."
# First bytes, the name of the format, and what to do. Nothing is unpickled or executed.
_FOREIGN: tuple[tuple[bytes, str, str], ...] = (
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (.xls)", _AS_CSV),
    (b"\x93NUMPY", "a NumPy array (.npy)", _AS_PARQUET),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file", _AS_PARQUET),
    (b"SQLite format 3\0", "an SQLite database", "Export the table as CSV or Parquet."),
    (b"DUCK", "a DuckDB database", "Export the table as CSV or Parquet."),
    (b"MATLAB 5.0 MAT-file", "a MATLAB file", _AS_PARQUET),
    (b"<stata_dta>", "a Stata file", _AS_CSV),
    (b"$FL2", "an SPSS file", _AS_CSV),
    (b"$FL3", "an SPSS file", _AS_CSV),
    (b"FEA1", "a Feather file of version 1", "Write it as Feather version 2 or Parquet."),
    (b"ORC", "an ORC file", "Write it as Parquet."),
    (b"Obj\x01", "an Avro file", "Write it as Parquet."),
    (b"RDX", "an R data file", _AS_CSV),
    (b"%PDF-", "a PDF document", _AS_CSV),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", "Unpack it, and name the table in it."),
    (b"Rar!\x1a\x07", "a RAR archive", "Unpack it, and name the table in it."),
    (b"\x1f\x8b", "compressed with gzip", "Add .gz to its name, as in table.csv.gz."),
    (b"BZh", "compressed with bzip2", "Add .bz2 to its name, as in table.csv.bz2."),
    (
        b"\x28\xb5\x2f\xfd",
        "compressed with Zstandard",
        "Add .zst to its name, as in table.csv.zst.",
    ),
    (b"\xfd7zXZ\0", "compressed with xz", "Decompress it."),
    (b"\x89PNG", "an image", "Name a folder of images (kind: images)."),
    (b"\xff\xd8\xff", "an image", "Name a folder of images (kind: images)."),
    (b"GIF8", "an image", "Name a folder of images (kind: images)."),
    (b"<!DOCTYPE html", "an HTML page", "Download the table itself."),
    (b"<html", "an HTML page", "Download the table itself."),
    (b"<?xml", "an XML document", _AS_CSV),
)
# The numbers of folds and of pairs, then "name n1 n2" or "name n1 name n2".
_LFW_START = re.compile(
    rb"(?:\xef\xbb\xbf)?\s*\d+(?:[ \t]+\d+)?[ \t\r]*\n\s*"
    rb"(?:[^\t\n]+\t\d+\t(?:[^\t\n]+\t)?\d+|\S+ +\d+ +(?:\S+ +)?\d+)[ \t\r]*(?:\n|\Z)"
)
_PICKLE = "a Python pickle, which can execute code and is never read"


def detect_table_format(path: Path) -> TableFormat:
    """Return the format of a table by its content; text is CSV or JSON Lines by its extension.

    Raises:
      DataError: If the file is not a table that Diptych reads, or cannot be read.
    """
    start = read_start(path)
    if start.startswith(b"PAR1"):
        return "parquet"
    if start.startswith((b"ARROW1", ARROW_STREAM_START)):
        return "arrow"
    foreign = describe_foreign_format(path, start)
    if foreign is not None:
        raise DataError(f"{path} is {foreign}")
    named = _format_of_name(path.name.lower())
    if named in ("parquet", "arrow"):
        if not start:
            return named
        raise DataError(
            f"{path} cannot be read as {'Parquet' if named == 'parquet' else 'Arrow IPC'}: its "
            "content is another format. Write or copy it again."
        )
    return named


def describe_foreign_format(path: Path, start: bytes) -> str | None:
    """Name the format of a file that is not a table, and what to do; None if it may be a table.

    Args:
      path: The file.
      start: Its first bytes, decompressed.
    """
    if start.startswith(b"PK\x03\x04"):
        return _describe_zip(path)
    for signature, name, remedy in _FOREIGN:
        if start.startswith(signature):
            return f"{name}. {remedy}"
    if len(start) > 1 and start[0] == 0x80 and 2 <= start[1] <= 5:
        return f"{_PICKLE}. {_AS_PARQUET}"
    if start[257:262] == b"ustar":
        return "a tar archive. Unpack it, and name the table in it."
    if _LFW_START.match(start):
        return (
            "a list of pairs as of Labeled Faces in the Wild. Train on the images themselves, and "
            "set evaluate.pairs to this file."
        )
    return None


def find_foreign_file(folder: Path) -> str | None:
    """Name the format of the first file in a folder that is a known format but no table.

    Images are data of another kind, and not named.
    """
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith((".", "_")):
            foreign = describe_foreign_format(path, read_start(path))
            if foreign is not None and not foreign.startswith("an image"):
                return f"{path.name} is {foreign}"
    return None


def read_start(path: Path, num_bytes: int = 512) -> bytes:
    """Read the first bytes of a file, decompressed if its name ends with .gz, .bz2 or .zst.

    Raises:
      DataError: If the file cannot be read.
    """
    try:
        with pa.input_stream(str(path)) as stream:
            return bytes(stream.read(num_bytes))
    except UnicodeEncodeError as error:
        raise DataError(
            f"{to_printable(str(path))} cannot be read: its name is not UTF-8. Rename it."
        ) from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}.") from error


def _format_of_name(name: str) -> TableFormat:
    for compression in _COMPRESSIONS:
        name = name.removesuffix(compression)
    for table_format, extensions in _EXTENSIONS.items():
        if name.endswith(extensions):
            return table_format
    return "csv"


def _describe_zip(path: Path) -> str:
    """Name what a zip file contains; only its list of names is read."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return "a damaged zip archive. Copy it again."
    if any(name.startswith("xl/") for name in names):
        return f"an Excel workbook (.xlsx). {_AS_CSV}"
    if "content.xml" in names and "mimetype" in names:
        return f"an OpenDocument spreadsheet (.ods). {_AS_CSV}"
    if names and all(name.endswith(".npy") for name in names):
        return f"an archive of NumPy arrays (.npz). {_AS_PARQUET}"
    return "a zip archive. Unpack it, and name the table or folder in it."
