"""Examples that a list of given pairs names, embedded by a model."""

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from diptych.components.common.exported_model import ExportedModel
from diptych.components.common.images import ImageLimits, prepare_image, read_bounded
from diptych.components.evaluator.labelled_examples import RawSplit
from diptych.components.evaluator.pair_list_source import PairListSource
from diptych.components.evaluator.raw_examples import iter_raw_sides
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.shards import ID_BYTES

_MAX_BATCH_BYTES, _MAX_BATCH_FILES = 64 << 20, 256  # of encoded images in memory


@dataclasses.dataclass(frozen=True)
class ListedExamples:
    """Examples of a list, in the order of their names.

    Attributes:
      embeddings: (n, size) embeddings; 0 for unusable examples.
      is_leaked: (n,) True if the example is in the training split.
      reasons: Why an example cannot be used, by its row.
    """

    embeddings: npt.NDArray[np.float32]
    is_leaked: npt.NDArray[np.bool_]
    reasons: dict[int, str]


def embed_listed_examples(
    names: Sequence[str],
    files: Sequence[str | None],
    source: PairListSource,
    splits: Mapping[str, RawSplit],
    inputs: InputSpec,
    model: ExportedModel,
) -> ListedExamples:
    """Embed the examples, and find those of the training split.

    An image file is in the training split if a training example has the same content. A name
    without a file is the id, the key in ``data.id`` or the source of an example of any split.

    Args:
      names: Distinct names of the examples.
      files: Image file of each name, or None.
      source: Limits of the images.
      splits: Raw examples by split.
      inputs: Features of a raw example.
      model: Model to embed with.
    """
    embeddings: npt.NDArray[np.float32] | None = None
    reasons: dict[int, str] = {}
    keys: dict[str, list[int]] = {}  # id or source, to rows

    def store(rows: Sequence[int], raw: npt.NDArray[np.generic]) -> None:
        nonlocal embeddings
        values = model.embed(raw)
        if embeddings is None:
            embeddings = np.zeros((len(names), values.shape[1]), np.float32)
        embeddings[rows] = values

    limits = ImageLimits(source.max_bytes, source.max_pixels, inputs.background)
    for rows, raw, ids in _iter_image_files(files, limits, reasons):
        for row, content_ids in zip(rows, ids, strict=True):
            for content_id in content_ids:
                keys.setdefault(content_id, []).append(row)
        store(rows, raw)
    missing = {row for row, file in enumerate(files) if file is None}
    for row in missing:
        for key in (names[row], _hash_content(names[row].encode(errors="surrogateescape"))):
            keys.setdefault(key, []).append(row)
    is_leaked = np.zeros(len(names), bool)
    wanted = pa.array([key.encode(errors="surrogateescape") for key in keys], pa.binary())
    for name, split in splits.items():
        is_training = name == "train"
        if not (is_training or missing):
            continue
        for ids, sources, raw in iter_raw_sides(split.files, inputs):
            matches = list(_match_keys(ids, sources, raw, wanted, keys))
            if is_training:
                is_leaked[[row for row, _ in matches]] = True
            new = {row: at for row, at in matches if row in missing}
            if new:
                missing -= new.keys()
                store(list(new), raw[list(new.values())])
    for row in missing:
        reasons[row] = "is not an example of the data"
    if embeddings is None:
        embeddings = np.zeros((len(names), 1), np.float32)
    return ListedExamples(embeddings, is_leaked, reasons)


def _iter_image_files(
    files: Sequence[str | None], limits: ImageLimits, reasons: dict[int, str]
) -> Iterator[tuple[list[int], npt.NDArray[np.object_], list[set[str]]]]:
    """Read and check image files in batches: rows, encoded images, and hashes of their content.

    Rows of unusable files are added to ``reasons``. An image has two hashes if it is converted.
    """
    rows: list[int] = []
    images: list[bytes] = []
    ids: list[set[str]] = []
    for row, file in enumerate(files):
        if file is None:
            continue
        try:
            encoded = read_bounded(Path(file), limits.max_bytes)
        except OSError as error:
            reasons[row] = f"cannot be read: {error.strerror}"
            continue
        prepared = prepare_image(encoded, limits)
        if isinstance(prepared, str):
            reasons[row] = prepared
            continue
        if images and (
            len(images) == _MAX_BATCH_FILES
            or sum(map(len, images)) + len(prepared.encoded) > _MAX_BATCH_BYTES
        ):
            yield rows, np.array(images, object), ids
            rows, images, ids = [], [], []
        rows.append(row)
        images.append(prepared.encoded)
        ids.append({_hash_content(encoded), _hash_content(prepared.encoded)})
    if images:
        yield rows, np.array(images, object), ids


def _match_keys(
    ids: pa.Array,
    sources: pa.Array | None,
    raw: npt.NDArray[np.generic],
    wanted: pa.Array,
    keys: Mapping[str, list[int]],
) -> Iterator[tuple[int, int]]:
    """Yield (row of the names, row of the batch) for each id, source or content that is wanted."""
    columns = [ids] if sources is None else [ids, sources]
    if raw.dtype == object:  # images: ids may be given by a column
        columns.append(pa.array([_hash_content(image).encode() for image in raw], pa.binary()))
    for column in columns:
        is_wanted = pc.is_in(column.cast(pa.binary()), value_set=wanted)
        for at in np.flatnonzero(is_wanted.to_numpy(zero_copy_only=False)).tolist():
            key = column[at].as_py().decode(errors="surrogateescape")
            yield from ((row, at) for row in keys[key])


def _hash_content(encoded: bytes) -> str:
    """Id of an image by its content, or of a key in ``data.id``, as ExampleGen computes it."""
    return hashlib.blake2b(encoded, digest_size=ID_BYTES).hexdigest()
