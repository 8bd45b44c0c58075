"""From raw examples and their embeddings to the centroid of each class.

A sample of a class is enough to know where it lies. Whether an example is in it follows from its
id and the size of its class alone; sums are of whole numbers. So the centroids do not depend on
the order of the examples, or on how they are cut up in files and bundles.
"""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.schemas.centroids import UNIT, centroids_schema
from diptych.schemas.input_spec import LABEL

SAMPLE = 32  # of each class: all, or about so many of a larger one
_LARGEST = 2.0**15  # of a coordinate of an embedding; centroids are int32

I64 = npt.NDArray[np.int64]


@dataclasses.dataclass(frozen=True)
class Sums:
    """Sums of embeddings; an entry a class, or an example before they are added up.

    Attributes:
      labels: (n,) of the classes.
      examples: (n,) how many were added.
      sums: (n, d) of their quantised embeddings.
    """

    labels: pa.Array
    examples: I64
    sums: I64


def labels_of(batch: pa.RecordBatch) -> pa.Array:
    """Labels of decoded raw examples."""
    return batch[LABEL].flatten().cast(pa.binary())


def count_labels(batch: pa.RecordBatch) -> Counter[bytes]:
    """Rows of each label in decoded raw examples."""
    counted = labels_of(batch).value_counts()
    labels, counts = (counted.field(name).to_pylist() for name in ("values", "counts"))
    return Counter(dict(zip(labels, counts, strict=True)))


def in_sample(labels: pa.Array, ids: npt.NDArray[np.uint8], counts: Mapping[bytes, int]) -> I64:
    """Rows that are in the sample of their class.

    Args:
      labels: (n,) of the rows.
      ids: (n, 16) of the rows; digests, so they are random numbers already.
      counts: of all rows of each label, at most 2**32.

    Returns:
      Indices of the rows.
    """
    labels = labels.dictionary_encode()
    sizes = np.array([counts[label] for label in labels.dictionary.to_pylist()], np.uint64)
    drawn = np.ascontiguousarray(ids[:, :4]).view(">u4")[:, 0].astype(np.uint64)
    # As a share of 2**32, below SAMPLE / size; always, where the size is at most SAMPLE.
    return np.flatnonzero(drawn * sizes[labels.indices.to_numpy()] < SAMPLE << 32)


def quantise(embedding: npt.NDArray[np.float32]) -> I64:
    """Coordinates as whole numbers in ``UNIT``, at most 2**15 from 0, which stands for NaN, too."""
    finite = np.nan_to_num(embedding.astype(np.float64), posinf=_LARGEST, neginf=-_LARGEST)
    limit = _LARGEST / UNIT - 1
    return np.clip(np.rint(finite / UNIT), -limit, limit).astype(np.int64)


def one_each(labels: pa.Array, embedding: npt.NDArray[np.float32]) -> Sums:
    """The sums of single examples, added up by class."""
    return added([Sums(labels, np.ones(len(labels), np.int64), quantise(embedding))])


def added(parts: Iterable[Sums]) -> Sums:
    """Adds up the sums of each class."""
    some = list(parts)
    if not some:
        return Sums(pa.array([], pa.binary()), np.zeros(0, np.int64), np.zeros((0, 1), np.int64))
    labels = pa.concat_arrays([part.labels for part in some]).dictionary_encode()
    index = labels.indices.to_numpy()
    order = np.argsort(index, kind="stable")
    starts = np.flatnonzero(np.diff(index[order], prepend=-1))
    return Sums(
        labels.dictionary,
        np.add.reduceat(np.concatenate([part.examples for part in some])[order], starts),
        np.add.reduceat(np.concatenate([part.sums for part in some])[order], starts),
    )


def centroid_table(total: Sums) -> pa.Table:
    """Means, rounded to whole numbers, ordered by label; see ``schemas.centroids``."""
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


def no_centroids() -> pa.Table:
    """What stands for them where there is no model."""
    return centroids_schema(1).empty_table()
