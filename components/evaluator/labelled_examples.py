"""Raw examples of all splits with labels and sources, embedded by a model."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from diptych.components.common.exported_model import (
    ExportedModel,
    extract_ids,
    extract_inputs,
    read_raw_batches,
)
from diptych.schemas import input_spec as features
from diptych.schemas.input_spec import InputSpec

_BATCH_SIZE = 512
# Examples of the training split, and of each other split, that are embedded. They bound time and
# memory; a larger split is sampled evenly.
_MAX_TRAINING, _MAX_HELD_OUT = 30_000, 10_000


@dataclasses.dataclass(frozen=True)
class RawSplit:
    """Files of one split.

    Attributes:
      files: TFRecord files of raw examples.
      num_examples: Number of examples in them.
      held_out: True if the model was not trained on them.
    """

    files: Sequence[str]
    num_examples: int
    held_out: bool

    @property
    def max_examples(self) -> int:
        """Number of examples to embed at most."""
        return _MAX_HELD_OUT if self.held_out else _MAX_TRAINING


@dataclasses.dataclass(frozen=True)
class LabelledEmbeddings:
    """Embedded examples.

    Attributes:
      ids: (n, 16) uint8 ids; the same content in two places has one id, and two rows.
      labels: (n,) bytes objects.
      sources: (n,) bytes objects, as written by ExampleGen.
      embeddings: (n, size) embeddings.
      held_out: (n,) True for examples that the model was not trained on.
      num_skipped: Number of held-out examples that are not among them.
    """

    ids: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.object_]
    sources: npt.NDArray[np.object_]
    embeddings: npt.NDArray[np.float32]
    held_out: npt.NDArray[np.bool_]
    num_skipped: int


def embed_labelled_examples(
    splits: Mapping[str, RawSplit], inputs: InputSpec, model: ExportedModel
) -> LabelledEmbeddings:
    """Embed examples of each split, at most 30,000 training examples and 10,000 of the others.

    Args:
      splits: Splits by name; not those of given pairs, which have no labels.
      inputs: Features of a raw example.
      model: Model to embed with.
    """
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in ("ids", "labels", "sources", "embeddings", "held_out")
    }
    num_skipped = 0
    for split in splits.values():
        num_read = 0
        for ids, raw, labels, sources in _iter_labelled(split, inputs):
            parts["ids"].append(ids)
            parts["labels"].append(labels)
            parts["sources"].append(sources)
            parts["embeddings"].append(model.embed(raw))
            parts["held_out"].append(np.full(len(ids), split.held_out))
            num_read += len(ids)
        num_skipped += max(0, split.num_examples - num_read) if split.held_out else 0
    return LabelledEmbeddings(
        **{name: np.concatenate(arrays) for name, arrays in parts.items()}, num_skipped=num_skipped
    )


def _iter_labelled(
    split: RawSplit, inputs: InputSpec
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Read evenly spaced examples of a split: ids, raw inputs, labels and sources."""
    position = 0
    for file in sorted(split.files):
        for batch in read_raw_batches(file, _BATCH_SIZE):
            at = position + np.arange(len(batch))
            position += len(batch)
            kept = _is_sampled(at, split.max_examples, split.num_examples)
            if kept.any():
                rows = batch.take(np.flatnonzero(kept))
                yield (
                    extract_ids(rows),
                    extract_inputs(rows, inputs),
                    rows[features.LABEL].flatten().to_numpy(zero_copy_only=False),
                    rows[features.SOURCE].flatten().to_numpy(zero_copy_only=False),
                )


def _is_sampled(position: np.ndarray, limit: int, count: int) -> npt.NDArray[np.bool_]:
    """Mark ``limit`` of ``count`` positions at even steps; all if there are fewer."""
    if count <= limit:
        return np.ones(len(position), bool)
    sampled: npt.NDArray[np.bool_] = position * limit // count < (position + 1) * limit // count
    return sampled
