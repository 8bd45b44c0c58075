"""Runs an exported model over raw examples: what production would see."""

from collections.abc import Iterator

import numpy as np

from diptych.components.evaluator.metrics import Judged
from diptych.components.evaluator.reconstructions import EXAMPLES_SHOWN
from diptych.components.exported import (
    ExportedModel,
    raw_ids,
    raw_inputs,
    raw_vectors,
    read_raw,
)
from diptych.schemas import inputs as features
from diptych.schemas.errors import DataError
from diptych.schemas.inputs import Inputs
from diptych.schemas.shards import SplitPairs

_EXAMPLES_AT_ONCE = 512
_PAIRS_AT_ONCE = 2**16


def judge_pairs(
    model: ExportedModel, files: list[str], inputs: Inputs, pairs: SplitPairs
) -> Judged:
    """Distances of the pairs, each example encoded once, from its raw form.

    Raises:
      DataError: an example of a pair is not among the raw examples.
    """
    ids = _as_keys(pairs.ids)  # ordered, as read_split_pairs gives them
    embedding, known = None, np.zeros(len(ids), bool)
    for some_ids, raw in _raw_examples(files, inputs):
        keys = _as_keys(some_ids)
        place = np.minimum(np.searchsorted(ids, keys), len(ids) - 1)
        mine = (ids[place] == keys) & ~known[place]
        if not mine.any():
            continue
        values = model.embed(raw[mine])
        if embedding is None:
            embedding = np.empty((len(ids), values.shape[1]), np.float32)
        embedding[place[mine]] = values
        known[place[mine]] = True
    if embedding is None or not known.all():
        raise DataError(
            f"{int((~known).sum())} of {len(ids)} examples of the test pairs are not among the "
            "raw examples. The pairs belong to other data: run the pipeline from the start."
        )
    distance = np.empty(len(pairs.same), np.float32)
    for start in range(0, len(distance), _PAIRS_AT_ONCE):
        some = slice(start, start + _PAIRS_AT_ONCE)
        distance[some] = model.distance(embedding[pairs.left[some]], embedding[pairs.right[some]])
    return Judged(len(ids), pairs.left, pairs.right, pairs.same, distance)


def reconstruct_some(
    model: ExportedModel, files: list[str], inputs: Inputs
) -> tuple[np.ndarray, np.ndarray]:
    """Some of the first examples as the encoder is given them, and as the decoder makes them."""
    _, raw = next(_raw_examples(files, inputs))
    return model.reconstruct(raw[:EXAMPLES_SHOWN])


def _as_keys(ids: np.ndarray) -> np.ndarray:
    # Fixed width strings compare as bytes, in the order in which np.unique sorts them.
    return np.ascontiguousarray(ids).view(f"V{ids.shape[1]}").ravel()


def _raw_examples(files: list[str], inputs: Inputs) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for file in sorted(files):
        for batch in read_raw(file, _EXAMPLES_AT_ONCE):
            if inputs.paired:
                yield raw_ids(batch, features.LEFT_ID), raw_vectors(batch, inputs.columns)
                yield raw_ids(batch, features.RIGHT_ID), raw_vectors(batch, inputs.right_columns)
            else:
                yield raw_ids(batch), raw_inputs(batch, inputs)
