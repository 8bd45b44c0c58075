"""List the columns of a table that a run does not use, with the reason."""

from collections.abc import Collection, Iterator
from typing import TypeGuard

import pyarrow as pa

from diptych.components.common import cell_values as values
from diptych.components.common.table_rows import TextSettings, first_row_number, read_schema
from diptych.components.common.tables.file_formats import detect_table_format
from diptych.components.common.tables.text_format import has_suspicious_header
from diptych.components.example_gen.columns import INDEX_COLUMNS, ColumnSample
from diptych.components.example_gen.first_rows import read_first_rows
from diptych.components.example_gen.image_cells import find_image_column
from diptych.components.example_gen.span_files import SpanFiles
from diptych.schemas.config.data import DataConfig, ImageFolder, PairTable, Table
from diptych.schemas.input_spec import RESERVED, InputSpec

SUSPICIOUS_HEADER = (
    "first row that looks like data and is read as the names of the columns; if it is data, set "
    "data.header: false"
)


def has_columns(data: DataConfig) -> TypeGuard[Table | PairTable | ImageFolder]:
    """Return whether the data are rows of a table: vectors, pairs or a list of images."""
    is_list = isinstance(data, ImageFolder) and data.table is not None
    return is_list or isinstance(data, Table | PairTable)


def list_unused_columns(
    span: SpanFiles, data: Table | PairTable | ImageFolder, inputs: InputSpec
) -> list[tuple[str, str]]:
    """List the columns without a role, each with the reason.

    Raises:
      DataError: If the first rows or a header cannot be read.
    """
    settings = TextSettings.from_config(data)
    sample, batch = read_first_rows(span, settings)
    role = data.same if isinstance(data, PairTable) else data.label
    vector = [column.name for column in (*inputs.columns, *inputs.right_columns)]
    used = {role, *vector, *(getattr(data, key) for key in ("id", "group", "split", "time"))}
    if isinstance(data, PairTable) and inputs.kind == "image":
        used |= {str(data.left), str(data.right)}
    if isinstance(data, ImageFolder):
        used.add(find_image_column(data, sample.names))
    unused = list(explain_unused(sample, batch, {name for name in used if name is not None}))
    others = (read_schema(span.root / file.name, settings).names for file in span.files)
    new = {name for names in others for name in names} - {*sample.names, *used}
    return unused + [(name, "column that the first file does not have") for name in sorted(new)]


def explain_unused(
    sample: ColumnSample, batch: pa.RecordBatch, used: Collection[str]
) -> Iterator[tuple[str, str]]:
    """Yield each column that is not in ``used``, with the reason."""
    for name in dict.fromkeys(sample.names):
        if name not in used:
            yield name, _explain(name, sample, batch)


def list_suspicious_headers(
    span: SpanFiles, data: Table | PairTable | ImageFolder
) -> list[tuple[str, str]]:
    """List the first CSV file if its header looks like data.

    Raises:
      DataError: If the file cannot be read.
    """
    settings = TextSettings.from_config(data)
    for file in span.files:
        path = span.root / file.name
        if file.size and detect_table_format(path) == "csv":
            if has_suspicious_header(path, settings):
                row = first_row_number(path, settings) - 1
                return [(f"{file.name}:{row}", SUSPICIOUS_HEADER)]
            break
    return []


def _explain(name: str, sample: ColumnSample, batch: pa.RecordBatch) -> str:
    if sample.names.count(name) > 1:
        return "column with the same name as another"
    if name in INDEX_COLUMNS:
        return "index column of pandas"
    if name in sample.partition_keys:
        return "folder of a partition, which has no role in data"
    if name in sample.missing:
        return "column without a value in the first rows"
    if name in sample.numeric or name in sample.list_widths:
        if name in RESERVED:
            return f"column with a reserved name ({', '.join(RESERVED)})"
        kind = "list" if name in sample.list_widths else "number"
        return f"{kind} column, which is not part of the vector"
    if name in sample.unread_numbers:
        return f"column of numbers in another notation. {sample.unread_numbers[name]}".rstrip(".")
    data_type = batch.schema.field(name).type
    if pa.types.is_dictionary(data_type):
        data_type = data_type.value_type
    return "text column" if values.is_text(data_type) else f"column of the type {data_type}"
