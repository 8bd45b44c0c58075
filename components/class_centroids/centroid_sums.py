"""Compute the centroid of each class from raw examples and their embeddings.

A sample of a class is enough to estimate its centroid. Whether the sample includes an example
depends only on its id and the size of its class, and all sums are sums of integers. The centroids
therefore do not depend on the order of the examples, or on their division into files and bundles.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.components.common.row_runs import run_starts
from diptych.schemas.centroids import CENTROID_UNIT, centroids_schema
from diptych.schemas.input_spec import LABEL

SAMPLE_SIZE = 32  # examples per class: all of a small class, about this many of a larger one
_LARGEST = 2.0**15  # coordinate of an embedding; centroids are int32

I64 = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class EmbeddingSums:
    """Sums of embeddings; one entry per class, or per example before summation.

    Attributes:
      labels: (n,) labels of the classes.
      examples: (n,) numbers of summed examples.
      sums: (n, d) sums of quantized embeddings.
    """

    labels: pa.Array
    examples: I64
    sums: I64


def decode_labels(batch: pa.RecordBatch) -> pa.Array:
    """Return the labels of decoded raw examples."""
    return batch[LABEL].flatten().cast(pa.binary())


def count_labels(batch: pa.RecordBatch) -> Counter[bytes]:
    """Count the rows of each label in decoded raw examples."""
    counted = decode_labels(batch).value_counts()
    labels, counts = (counted.field(name).to_pylist() for name in ("values", "counts"))
    return Counter(dict(zip(labels, counts, strict=True)))


def select_sample(labels: pa.Array, ids: npt.NDArray[np.uint8], counts: Mapping[bytes, int]) -> I64:
    """Select the rows that are in the sample of their class.

    Args:
      labels: (n,) labels of the rows.
      ids: (n, 16) ids of the rows; as digests, they are random numbers.
      counts: Number of all rows of each label, at most 2**32.

    Returns:
      Indices of the rows.
    """
    labels = labels.dictionary_encode()
    sizes = np.array([counts[label] for label in labels.dictionary.to_pylist()], np.uint64)
    noise = np.ascontiguousarray(ids[:, :4]).view(">u4")[:, 0].astype(np.uint64)
    # noise / 2**32 < SAMPLE_SIZE / size, which is always true for size <= SAMPLE_SIZE.
    return np.flatnonzero(noise * sizes[labels.indices.to_numpy()] < SAMPLE_SIZE << 32)


def quantize_embedding(embedding: npt.NDArray[np.float32]) -> I64:
    """Round coordinates to multiples of ``UNIT``, clipped to +-2**15; NaN becomes 0."""
    finite = np.nan_to_num(embedding.astype(np.float64), posinf=_LARGEST, neginf=-_LARGEST)
    limit = _LARGEST / CENTROID_UNIT - 1
    return np.clip(np.rint(finite / CENTROID_UNIT), -limit, limit).astype(np.int64)


def sum_embeddings(labels: pa.Array, embedding: npt.NDArray[np.float32]) -> EmbeddingSums:
    """Sum the embeddings of single examples by class."""
    return merge_sums(
        [EmbeddingSums(labels, np.ones(len(labels), np.int64), quantize_embedding(embedding))]
    )


def merge_sums(parts: Iterable[EmbeddingSums]) -> EmbeddingSums:
    """Add up the sums of each class."""
    all_parts = list(parts)
    if not all_parts:
        return EmbeddingSums(
            pa.array([], pa.binary()), np.zeros(0, np.int64), np.zeros((0, 1), np.int64)
        )
    labels = pa.concat_arrays([part.labels for part in all_parts]).dictionary_encode()
    index = labels.indices.to_numpy()
    order = np.argsort(index, kind="stable")
    starts = run_starts(index[order])
    return EmbeddingSums(
        labels.dictionary,
        np.add.reduceat(np.concatenate([part.examples for part in all_parts])[order], starts),
        np.add.reduceat(np.concatenate([part.sums for part in all_parts])[order], starts),
    )


def make_centroid_table(total: EmbeddingSums) -> pa.Table:
    """Compute means, rounded to integers and ordered by label; see ``schemas.centroids``."""
    twice = 2 * total.examples[:, None]
    means = (2 * total.sums + total.examples[:, None]) // twice
    schema = centroids_schema(means.shape[1])
    flat = pa.array(means.astype(np.int32).ravel())
    columns = [
        total.labels,
        pa.array(total.examples),
        pa.FixedSizeListArray.from_arrays(flat, type=schema.field("centroid").type),
    ]
    return pa.Table.from_arrays(columns, schema=schema).sort_by("label")


def make_empty_centroid_table() -> pa.Table:
    """Build the table without rows that is written if there is no suitable model."""
    return centroids_schema(1).empty_table()
