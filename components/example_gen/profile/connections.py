"""Find out whether given pairs share examples, and how they are connected."""

import contextlib
import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from diptych.components.common.table_rows import TextSettings, read_table_rows
from diptych.components.common.tables.file_formats import detect_table_format
from diptych.components.example_gen import duplicates
from diptych.components.example_gen.example_batch import compute_ids
from diptych.components.example_gen.image_cells import ImageSource, to_image_sources
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.pair_tables import read_pair_table
from diptych.components.example_gen.profile.data_profile import (
    MAX_COUNTED_ROWS,
    DataProfile,
)
from diptych.components.example_gen.span_files import SpanFiles, find_files
from diptych.schemas.config.data import PairTable
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DiptychError
from diptych.schemas.input_spec import LEFT_ID, RIGHT_ID, InputSpec

_BATCH_ROWS = 1024


def propose_connected_split(profile: DataProfile) -> DataProfile:
    """Propose ``split.by: connected`` if examples occur in several of the given pairs.

    Pairs of which nearly all are connected cannot be split so; the user must decide.
    """
    data = PairTable.model_validate(dict(profile.data))
    sides: list[tuple[list[str], list[str]]] = []
    # The proposed configuration may be invalid; that is reported separately.
    with contextlib.suppress(DiptychError):
        inputs = infer_input_spec(data, SplitConfig())
        num_rows = 0
        for part in _iter_sides(find_files(data), data, inputs):
            sides.append(part)
            num_rows += len(part[0])
            if num_rows >= MAX_COUNTED_ROWS:
                break
    if not sides:
        return profile
    left, right = (np.concatenate([part[side] for part in sides]) for side in (0, 1))
    num_recurring, largest, num_pairs = _count_connected(left, right)
    if not num_recurring:
        return profile
    share = largest / num_pairs
    found = (
        f"Examples in several pairs: {num_recurring:,}. Pairs that share examples form connected "
        f"components; the largest has {largest:,} of {num_pairs:,} pairs ({share:.0%})."
    )
    if "split" in profile.settings:
        notes = [*profile.notes, f"{found} The splits of the data are kept (split.by: given)."]
        return dataclasses.replace(profile, notes=notes)
    split = SplitConfig()
    # The other components cannot reach half of the fractions of calibration and test.
    if share > 1 - (split.calibration + split.test) / 2:
        found = (
            f"CHECK: {found} So split.by: connected cannot divide them. Remove the pairs that "
            "connect large parts, or set data.group to a column that divides the examples and "
            "split.by: group, or set split.by: example: test examples are then also in training, "
            "and the report counts them as leaks."
        )
    else:
        found += " split.by: connected keeps each component in one split."
    return dataclasses.replace(
        profile,
        settings={**profile.settings, "split": {"by": "connected"}},
        notes=[*profile.notes, found],
    )


def _iter_sides(
    files: SpanFiles, data: PairTable, inputs: InputSpec
) -> Iterator[tuple[list[str], list[str]]]:
    """Yield the ids of the left and right examples of some pairs; images are not decoded."""
    for file in files.files:
        if inputs.kind == "vector":
            for batch in read_pair_table(files.root, file.name, None, data, inputs, SplitConfig()):
                left, right = (
                    batch.features.column(name).flatten().to_pylist()
                    for name in (LEFT_ID, RIGHT_ID)
                )
                yield left, right
            continue
        path = files.root / file.name
        is_csv = detect_table_format(path) == "csv"
        settings = TextSettings.from_config(data)
        columns = list(files.image_columns)
        for rows in read_table_rows(path, columns, None, _BATCH_ROWS, settings):
            left, right = (
                compute_ids(map(_to_bytes, to_image_sources(rows.batch.column(name), is_csv)))
                for name in columns
            )
            yield left, right


def _to_bytes(source: ImageSource) -> bytes:
    return source if isinstance(source, bytes) else (source or "").encode()


def _count_connected(
    left: npt.NDArray[np.generic], right: npt.NDArray[np.generic]
) -> tuple[int, int, int]:
    """Count the examples in several distinct pairs, and the pairs of the largest component.

    Returns:
      Number of these examples, of pairs in the largest component, and of distinct pairs. A pair
      and the mirrored pair are the same.
    """
    nodes = duplicates.group_equal(np.concatenate([left, right]))
    pairs = np.unique(np.sort(np.stack(np.split(nodes, 2), axis=1), axis=1), axis=0)
    num_recurring = int((np.bincount(pairs.ravel()) > 1).sum())
    components = duplicates.unite(int(nodes.max(initial=-1)) + 1, [(pairs[:, 0], pairs[:, 1])])
    largest = int(np.bincount(components[pairs[:, 0]]).max(initial=0))
    return num_recurring, largest, len(pairs)
