"""Raw examples by their ids."""

from collections.abc import Iterator

import numpy as np

from diptych.components.common.exported_model import raw_ids, raw_inputs, raw_vectors, read_raw
from diptych.schemas import input_spec as features
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Inputs

_EXAMPLES_AT_ONCE = 512


def raw_examples(files: list[str], inputs: Inputs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All of them, some at a time: (n, 16) ids, and (n,) encoded images or (n, d) vectors."""
    for file in sorted(files):
        for batch in read_raw(file, _EXAMPLES_AT_ONCE):
            if inputs.paired:
                yield raw_ids(batch, features.LEFT_ID), raw_vectors(batch, inputs.columns)
                yield raw_ids(batch, features.RIGHT_ID), raw_vectors(batch, inputs.right_columns)
            else:
                yield raw_ids(batch), raw_inputs(batch, inputs)


def raw_examples_of(
    files: list[str], inputs: Inputs, ids: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Those with some ids, some at a time.

    Args:
      files: TFRecords of raw examples.
      inputs: what a raw example holds.
      ids: (n, 16) uint8, each once, ordered.

    Yields:
      Rows of ``ids``, and the raw examples with these, at least one. All rows in the end.

    Raises:
      DataError: an id is not among the raw examples.
    """
    keys, known = _as_keys(ids), np.zeros(len(ids), bool)
    for some_ids, raw in raw_examples(files, inputs):
        found = _as_keys(some_ids)
        place = np.minimum(np.searchsorted(keys, found), len(keys) - 1)
        mine = (keys[place] == found) & ~known[place]
        if mine.any():
            known[place[mine]] = True
            yield place[mine], raw[mine]
    if not known.all():
        raise DataError(
            f"{int((~known).sum())} of {len(ids)} examples of the test pairs are not among the "
            "raw examples. The pairs belong to other data: run the pipeline from the start."
        )


def _as_keys(ids: np.ndarray) -> np.ndarray:
    # Fixed width strings compare as bytes, in the order in which np.unique sorts them.
    return np.ascontiguousarray(ids).view(f"V{ids.shape[1]}").ravel()
