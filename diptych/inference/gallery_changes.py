"""Changes of a gallery: each function writes new parts and returns the catalog that lists them.

The caller holds the lock, and commits the change by writing the catalog.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diptych.inference.gallery_files import (
    GalleryCatalog,
    GalleryPart,
    ModelIdentity,
    decode_vectors,
    encode_vectors,
    gallery_examples_schema,
    gallery_raw_schema,
    read_gallery_file,
    write_gallery_file,
)

# Parts of this size are not merged, which bounds what adding one example rewrites.
_MAX_MERGED_BYTES = 64 * 2**20


def add_examples(
    folder: Path, catalog: GalleryCatalog, examples: pa.Table, raw: pa.Table
) -> GalleryCatalog:
    """Add examples, merged with the preceding small parts that have no more rows.

    The sizes of the parts therefore decrease, their number is logarithmic, and an example is
    rewritten about a dozen times at most, even if examples are added one by one.

    Args:
      folder: Folder of the gallery.
      catalog: Current catalog.
      examples: Table with the columns of ``gallery_examples_schema``.
      raw: Table of the same rows with the column of ``gallery_raw_schema``.
    """
    parts = list(catalog.parts)
    while parts and parts[-1].rows <= len(examples) and parts[-1].num_bytes < _MAX_MERGED_BYTES:
        previous = parts.pop()
        examples = pa.concat_tables([read_part_examples(folder, catalog, previous), examples])
        raw = pa.concat_tables([_read_part_raw(folder, catalog, previous), raw])
    return _append_part(folder, _replace_parts(catalog, parts), examples, raw)


def remove_label(folder: Path, catalog: GalleryCatalog, label: str) -> GalleryCatalog:
    """Remove all examples of a class, including the raw examples."""
    changed = _replace_parts(catalog, [])
    for part in catalog.parts:
        examples = read_part_examples(folder, catalog, part)
        keep = pc.not_equal(examples["label"], label)
        num_kept = pc.sum(keep).as_py()
        if num_kept == part.rows:
            changed = _replace_parts(changed, [*changed.parts, part])
        elif num_kept:
            raw = _read_part_raw(folder, catalog, part)
            changed = _append_part(folder, changed, examples.filter(keep), raw.filter(keep))
    return changed


def replace_embeddings(
    folder: Path,
    catalog: GalleryCatalog,
    identity: ModelIdentity,
    embed: Callable[[np.ndarray], np.ndarray],
) -> GalleryCatalog:
    """Embed all raw examples with another model.

    Args:
      folder: Folder of the gallery.
      catalog: Current catalog.
      identity: Identity of the other model.
      embed: Maps (n,) encoded images or (n, d) vectors to (n, size) embeddings.
    """
    changed = catalog.model_copy(update={"embedder": identity, "parts": ()})
    for part in catalog.parts:
        raw = _read_part_raw(folder, catalog, part)
        embeddings = [embed(_decode_raw(batch["raw"])) for batch in raw.to_batches()]
        examples = read_part_examples(folder, catalog, part).set_column(
            3,
            gallery_examples_schema(identity.embedding_size).field("embedding"),
            encode_vectors(np.concatenate(embeddings)),
        )
        file = write_gallery_file(folder, f"examples-{changed.next_number:08d}.arrow", examples)
        same_raw = part.model_copy(update={"examples": file})
        changed = _replace_parts(changed, [*changed.parts, same_raw], num_new=1)
    return changed


def read_part_examples(folder: Path, catalog: GalleryCatalog, part: GalleryPart) -> pa.Table:
    """Read labels, sources, digests and embeddings of a part."""
    schema = gallery_examples_schema(catalog.embedder.embedding_size)
    return read_gallery_file(folder, part.examples, schema, part.rows)


def _decode_raw(column: pa.Array) -> np.ndarray:
    """Convert a raw column to (n,) encoded images as objects, or (n, d) float32 vectors."""
    if pa.types.is_large_binary(column.type):
        images: np.ndarray = column.to_numpy(zero_copy_only=False)
        return images
    return decode_vectors(pa.chunked_array([column]), column.type.list_size)


def _read_part_raw(folder: Path, catalog: GalleryCatalog, part: GalleryPart) -> pa.Table:
    return read_gallery_file(
        folder, part.raw, gallery_raw_schema(catalog.embedder.inputs), part.rows
    )


def _append_part(
    folder: Path, catalog: GalleryCatalog, examples: pa.Table, raw: pa.Table
) -> GalleryCatalog:
    number = f"{catalog.next_number:08d}.arrow"
    part = GalleryPart(
        rows=len(examples),
        examples=write_gallery_file(folder, f"examples-{number}", examples),
        raw=write_gallery_file(folder, f"raw-{number}", raw),
    )
    return _replace_parts(catalog, [*catalog.parts, part], num_new=1)


def _replace_parts(
    catalog: GalleryCatalog, parts: list[GalleryPart], num_new: int = 0
) -> GalleryCatalog:
    next_number = catalog.next_number + num_new
    return catalog.model_copy(update={"parts": tuple(parts), "next_number": next_number})
