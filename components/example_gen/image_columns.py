"""Find the columns of a table that hold images or their paths, and count the paths."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from diptych.components.common.table_rows import TextSettings, read_schema, read_table_rows
from diptych.components.common.tables.file_formats import detect_table_format
from diptych.components.example_gen.columns import inspect_columns
from diptych.components.example_gen.image_cells import (
    can_hold_images,
    find_image_column,
    holds_image_bytes,
    to_paths,
)
from diptych.schemas.config.data import DataConfig, ImageFolder, PairTable

_SAMPLE_ROWS = 256


def find_image_columns(
    data: DataConfig, paths: Sequence[Path], settings: TextSettings
) -> tuple[str, ...]:
    """Return the columns of images or paths: one of a list, two of pairs, none of vectors.

    Sides of pairs are images if ``data.left`` and ``data.right`` name one column each, which holds
    text that is not numeric, or encoded images.

    Raises:
      ConfigError: If a list of images has no such column.
      DataError: If a file cannot be read.
    """
    schemas = ((path, read_schema(path, settings)) for path in paths)
    path, schema = next((pair for pair in schemas if pair[1].names), (None, pa.schema([])))
    if path is None:
        return ()
    if isinstance(data, ImageFolder):
        return (find_image_column(data, schema.names),)
    if not isinstance(data, PairTable):
        return ()
    sides = tuple(side for side in (data.left, data.right) if isinstance(side, str))
    if len(sides) < 2 or not set(sides) <= set(schema.names) or len(set(sides)) < 2:
        return ()
    for rows in read_table_rows(path, sides, batch_size=_SAMPLE_ROWS, settings=settings):
        sample = inspect_columns(rows.batch, sides, rows.cells)
        types = [rows.batch.schema.field(side).type for side in sides]
        is_image = not sample.numeric and all(map(can_hold_images, types))
        return sides if is_image else ()
    return ()


def count_image_paths(
    paths: Sequence[Path], columns: Sequence[str], settings: TextSettings
) -> Counter[str]:
    """Count the distinct paths in columns; images in the cells themselves are not counted."""
    counts: Counter[str] = Counter()
    for path in paths:
        schema = read_schema(path, settings)
        if not schema.names:
            continue
        is_csv = detect_table_format(path) == "csv"
        columns_of_paths = [
            name
            for name in columns
            if name in schema.names
            and (is_csv or not holds_image_bytes(schema.field(name).type))
            and can_hold_images(schema.field(name).type)
        ]
        if not columns_of_paths:
            continue
        for rows in read_table_rows(path, columns_of_paths, batch_size=65536, settings=settings):
            for name in columns_of_paths:
                text = to_paths(rows.batch.column(name)).drop_null()
                for pair in text.value_counts().to_pylist():
                    counts[pair["values"]] += pair["counts"]
    return counts
