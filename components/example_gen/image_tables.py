"""Read images that a table lists with their labels, and pairs of images in a table."""

import dataclasses
import itertools
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.common import cell_values as values
from diptych.components.common import row_parsing
from diptych.components.common.cell_values import find_text_forms
from diptych.components.common.table_rows import (
    TableRows,
    TextSettings,
    read_schema,
    read_table_rows,
)
from diptych.components.common.tables.file_formats import detect_table_format
from diptych.components.example_gen.example_batch import (
    ExampleBatch,
    bytes_feature,
    list_feature,
)
from diptych.components.example_gen.fingerprints import Fingerprints
from diptych.components.example_gen.given_splits import select_split_keys
from diptych.components.example_gen.image_cells import (
    ImageLocator,
    find_image_column,
    read_image_sources,
    to_image_sources,
)
from diptych.components.example_gen.images import (
    build_image_batch,
    image_limits,
    prepare_image_column,
)
from diptych.components.example_gen.pair_tables import (
    IDENTICAL_SIDES,
    canonical_same_value,
    compute_pair_ids,
)
from diptych.components.example_gen.row_roles import parse_row_roles, role_columns
from diptych.schemas.config.data import ImageFolder, PairTable
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.input_spec import (
    ID,
    IMAGE,
    LEFT_ID,
    RIGHT_ID,
    RIGHT_IMAGE,
    SAME,
    SOURCE,
)

_BATCH_ROWS = 256  # rows whose images are in memory at once
_ITEM_ROWS, _MAX_ITEMS = 2048, 128  # rows of a work item; every item of a CSV file parses all of it
RowRange = tuple[int, int]
"""First row number, and the one after the last."""


def plan_row_ranges(
    path: Path, columns: Sequence[str], settings: TextSettings
) -> Iterator[RowRange]:
    """Divide the rows of a file into ranges of row numbers."""
    last = 0
    for rows in read_table_rows(path, columns[:1], batch_size=65536, settings=settings):
        numbers = [*rows.row_numbers[-1:].tolist(), *(number for number, _ in rows.malformed)]
        last = max([last, *numbers])
    step = max(_ITEM_ROWS, -(-last // _MAX_ITEMS))
    for first in range(0, last + 1, step):
        yield first, first + step


def read_image_list(
    root: Path,
    name: str,
    row_groups: Sequence[int] | None,
    row_range: RowRange | None,
    data: ImageFolder,
    split: SplitConfig,
) -> Iterator[ExampleBatch]:
    """Read the images that a table lists or contains.

    Args:
      root: Folder of the table.
      name: File of the table.
      row_groups: Row groups of a Parquet file; None reads all.
      row_range: Row numbers to read; None reads all.
      data: Columns and limits.
      split: Unit that stays together.

    Raises:
      DataError: If a column is missing, or the table is damaged.
    """
    settings = TextSettings.from_config(data)
    names = read_schema(root / name, settings).names
    if not names:
        return
    image = find_image_column(data, names)
    label = str(data.label)
    columns = list(dict.fromkeys([image, label, *role_columns(data)]))
    locator = ImageLocator.of_data(data, root)
    for rows in _read_ranges(root / name, columns, row_groups, row_range, settings):
        reasons = row_parsing.no_rejections(rows)
        labels = row_parsing.parse_text_column(rows, label, reasons)
        row_roles = parse_row_roles(rows, name, data, split, reasons)
        images = _prepare_cells(root / name, rows, image, locator, data, reasons)
        usable, sources, rejected = row_parsing.split_rejected(name, rows, reasons)
        encoded_labels = row_parsing.encode_text(labels, usable)
        roles = row_roles.select(usable)
        batch = build_image_batch(
            images.encoded,
            images.ids if roles.ids is None else roles.ids,
            encoded_labels,
            sources,
            rejected,
            _name_findings(name, rows, images.findings),
            select_split_keys(split, encoded_labels, roles.groups),
            roles.given_splits,
            images.fingerprints,
        )
        yield dataclasses.replace(
            batch,
            times=roles.times,
            label_forms=find_text_forms(rows.batch.column(label), rows.cells),
        )


def read_image_pairs(
    root: Path,
    name: str,
    row_groups: Sequence[int] | None,
    row_range: RowRange | None,
    data: PairTable,
    split: SplitConfig,
) -> Iterator[ExampleBatch]:
    """Read pairs of images that a table lists or contains; see ``read_image_list``.

    Pairs of an image with itself are rejected.

    Raises:
      DataError: If a column is missing, or the table is damaged.
    """
    sides = (str(data.left), str(data.right))
    columns = list(dict.fromkeys([*sides, data.same, *role_columns(data)]))
    positive = canonical_same_value(data.same_value)
    settings = TextSettings.from_config(data)
    locator = ImageLocator.of_data(data, root)
    for rows in _read_ranges(root / name, columns, row_groups, row_range, settings):
        reasons = row_parsing.no_rejections(rows)
        row_parsing.parse_text_column(rows, data.same, reasons)
        row_roles = parse_row_roles(rows, name, data, split, reasons)
        left = _prepare_cells(root / name, rows, sides[0], locator, data, reasons)
        right = _prepare_cells(root / name, rows, sides[1], locator, data, reasons)
        usable = np.array([reason is None for reason in reasons], bool)
        left, right = left.select(usable), right.select(usable)
        is_same_image = np.zeros(len(usable), bool)
        is_same_image[left.rows] = np.array(left.ids, str) == np.array(right.ids, str)
        row_parsing.reject_rows(reasons, is_same_image, IDENTICAL_SIDES)
        usable, sources, rejected = row_parsing.split_rejected(name, rows, reasons)
        left, right = left.select(usable), right.select(usable)
        same = pc.equal(
            values.as_same_text(rows.batch.column(data.same), rows.cells).filter(pa.array(usable)),
            positive,
        )
        roles = row_roles.select(usable)
        ids = compute_pair_ids(left.ids, right.ids) if roles.ids is None else roles.ids
        features = {
            IMAGE: list_feature(pa.array(left.encoded, pa.binary()), 1),
            RIGHT_IMAGE: list_feature(pa.array(right.encoded, pa.binary()), 1),
            SAME: list_feature(same.cast(pa.int64()), 1),
            ID: bytes_feature(ids),
            LEFT_ID: bytes_feature(left.ids),
            RIGHT_ID: bytes_feature(right.ids),
            SOURCE: bytes_feature(sources),
        }
        yield ExampleBatch(
            pa.record_batch(features),
            select_split_keys(split, None, roles.groups) or [i.encode() for i in ids],
            rejected,
            _name_findings(name, rows, [*left.findings, *right.findings]),
            roles.given_splits,
            sides=[left.fingerprints, right.fingerprints],
            times=roles.times,
        )


@dataclasses.dataclass(frozen=True)
class _Images:
    """Prepared images of some rows.

    Attributes:
      rows: Index of the row of each image.
      encoded, ids: See ``ImageColumn``.
      findings: Index of a row, and an observation about its image.
      fingerprints: Fingerprints of the images.
    """

    rows: npt.NDArray[np.int64]
    encoded: list[bytes]
    ids: list[str]
    findings: list[tuple[int, str]]
    fingerprints: Fingerprints

    def select(self, usable: npt.NDArray[np.bool_]) -> "_Images":
        """Return the images of the usable rows."""
        kept = usable[self.rows]
        return _Images(
            self.rows[kept],
            list(itertools.compress(self.encoded, kept)),
            list(itertools.compress(self.ids, kept)),
            [(row, text) for row, text in self.findings if usable[row]],
            self.fingerprints.take(np.flatnonzero(kept)),
        )


def _prepare_cells(
    path: Path,
    rows: TableRows,
    column: str,
    locator: ImageLocator,
    data: ImageFolder | PairTable,
    reasons: row_parsing.RejectionReasons,
) -> _Images:
    sources = to_image_sources(rows.batch.column(column), is_csv=detect_table_format(path) == "csv")
    images = read_image_sources(sources, column, locator, data.max_bytes, reasons)
    missing = values.describe_problem(column, values.MISSING)
    prepared = prepare_image_column(images, reasons, image_limits(data), missing)
    accepted = np.flatnonzero([reason is None for reason in reasons])
    fingerprints = prepared.fingerprints.build()
    return _Images(accepted, prepared.encoded, prepared.ids, prepared.findings, fingerprints)


def _read_ranges(
    path: Path,
    columns: Sequence[str],
    row_groups: Sequence[int] | None,
    row_range: RowRange | None,
    settings: TextSettings,
) -> Iterator[TableRows]:
    """Read the rows of a range, a few hundred at a time: their images are in memory together."""
    first, stop = row_range or (0, sys.maxsize)
    for rows in read_table_rows(path, columns, row_groups, _BATCH_ROWS, settings):
        numbers = rows.row_numbers
        if len(numbers) and numbers[0] >= stop:
            return
        begin, end = np.searchsorted(numbers, [first, stop]).tolist()
        malformed = [(number, text) for number, text in rows.malformed if first <= number < stop]
        if begin == end and malformed:
            yield dataclasses.replace(_slice_rows(rows, 0, 0), malformed=malformed)
        for at in range(begin, end, _BATCH_ROWS):
            part = _slice_rows(rows, at, min(at + _BATCH_ROWS, end))
            yield dataclasses.replace(part, malformed=malformed if at == begin else ())


def _slice_rows(rows: TableRows, begin: int, end: int) -> TableRows:
    return dataclasses.replace(
        rows,
        batch=rows.batch.slice(begin, end - begin),
        row_numbers=rows.row_numbers[begin:end],
        malformed=(),
    )


def _name_findings(
    name: str, rows: TableRows, findings: Iterable[tuple[int, str]]
) -> list[tuple[str, str]]:
    return [(f"{name}:{rows.row_numbers[row]}", text) for row, text in findings]
