"""Raw test examples, read with their ids."""

from collections.abc import Iterator, Sequence

import numpy as np
import pyarrow as pa

from diptych.components.common.exported_model import (
    decode_ids,
    extract_inputs,
    extract_right_inputs,
    read_raw_batches,
)
from diptych.schemas import input_spec as features
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import InputSpec

_BATCH_SIZE = 512


def iter_raw_sides(
    files: Sequence[str], inputs: InputSpec
) -> Iterator[tuple[pa.Array, pa.Array | None, np.ndarray]]:
    """Read all examples with their keys, in batches; of given pairs, one side after the other.

    Args:
      files: TFRecord files of raw examples.
      inputs: Features of a raw example.

    Yields:
      (n,) hexadecimal ids, (n,) sources, and (n,) encoded images or (n, d) vectors. The sources are
      None for given pairs, whose two sides have one source.
    """
    for file in sorted(files):
        for batch in read_raw_batches(file, _BATCH_SIZE):
            if inputs.paired:
                yield batch[features.LEFT_ID].flatten(), None, extract_inputs(batch, inputs)
                yield batch[features.RIGHT_ID].flatten(), None, extract_right_inputs(batch, inputs)
            else:
                sources = batch[features.SOURCE].flatten()
                yield batch[features.ID].flatten(), sources, extract_inputs(batch, inputs)


def iter_raw_examples(
    files: list[str], inputs: InputSpec
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read all examples, in batches.

    Args:
      files: TFRecord files of raw examples.
      inputs: Features of a raw example.

    Yields:
      (n, 16) ids, and (n,) encoded images or (n, d) vectors.
    """
    for ids, _, raw in iter_raw_sides(files, inputs):
        yield decode_ids(ids), raw


def iter_raw_examples_by_id(
    files: list[str], inputs: InputSpec, ids: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Read the examples with the given ids, in batches.

    Args:
      files: TFRecord files of raw examples.
      inputs: Features of a raw example.
      ids: (n, 16) uint8, distinct and sorted.

    Yields:
      (m,) rows of ``ids`` and the raw examples with these ids, m >= 1. Each row is yielded once.

    Raises:
      DataError: If an id is missing from the raw examples.
    """
    keys, is_read = _as_keys(ids), np.zeros(len(ids), bool)
    for batch_ids, raw in iter_raw_examples(files, inputs):
        batch_keys = _as_keys(batch_ids)
        row = np.minimum(np.searchsorted(keys, batch_keys), len(keys) - 1)
        wanted = (keys[row] == batch_keys) & ~is_read[row]
        if wanted.any():
            is_read[row[wanted]] = True
            yield row[wanted], raw[wanted]
            if is_read.all():
                return
    if not is_read.all():
        raise DataError(
            f"{int((~is_read).sum())} of {len(ids)} examples of the test pairs are missing from "
            "the raw examples. The pairs belong to other data. Run the pipeline from the start."
        )


def _as_keys(ids: np.ndarray) -> np.ndarray:
    # Fixed-width void values compare as bytes, which is the sort order of np.unique.
    return np.ascontiguousarray(ids).view(f"V{ids.shape[1]}").ravel()
