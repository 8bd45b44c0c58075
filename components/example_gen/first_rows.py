"""Read the first rows of tables, to infer the types of their columns."""

import pyarrow as pa

from diptych.components.common.table_rows import TextSettings, read_schema, read_table_rows
from diptych.components.example_gen.columns import ColumnSample, inspect_columns
from diptych.components.example_gen.span_files import SpanFiles
from diptych.schemas.errors import DataError

_SAMPLE_ROWS = 1000
_DEFAULT_SETTINGS = TextSettings()


def read_first_rows(
    span: SpanFiles, settings: TextSettings = _DEFAULT_SETTINGS
) -> tuple[ColumnSample, pa.RecordBatch]:
    """Read the first rows of the first non-empty file, and infer their column types.

    Raises:
      DataError: If no file has rows.
    """
    malformed: list[tuple[str, int, str]] = []
    for file in span.files:
        path = span.root / file.name
        names = read_schema(path, settings).names
        unique = [name for name in names if names.count(name) == 1]
        if not unique:
            continue
        for rows in read_table_rows(path, unique, batch_size=_SAMPLE_ROWS, settings=settings):
            if rows.batch.num_rows:
                batch = rows.batch.slice(0, _SAMPLE_ROWS)
                return inspect_columns(batch, names, rows.cells), batch
            malformed += [(file.name, number, reason) for number, reason in rows.malformed]
    if malformed:
        name, number, reason = malformed[0]
        raise DataError(
            f"All {len(malformed)} rows in {span.root} are malformed, such as {name}:{number}: "
            f"{reason}. If the first row of the file is not a header, remove it; otherwise check "
            "data.delimiter and quotes."
        )
    raise DataError(
        f"The data in {span.root} have no rows (0 in {len(span.files)} files). "
        "Check data.path and how the data were written."
    )
