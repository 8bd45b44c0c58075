"""Changes of a gallery: each writes new parts, and gives the catalog that would have them.

The gallery changes when that catalog is written. Whoever calls holds the lock meanwhile.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from diptych.inference.gallery_files import (
    Catalog,
    Embedder,
    Part,
    examples_schema,
    floats_to_arrow,
    floats_to_numpy,
    raw_schema,
    read_piece,
    write_piece,
)

# Parts of this size are left alone: one more example rewrites no more than this.
_SEALED_BYTES = 64 * 2**20


def with_examples(folder: Path, catalog: Catalog, examples: pa.Table, raw: pa.Table) -> Catalog:
    """Adds examples, together with the small parts before them that are no larger.

    So parts fall in size, there are few of them, and an example is rewritten a dozen times at
    most, however many come one by one.

    Args:
      folder: of the gallery.
      catalog: as it is.
      examples: with the columns of ``examples_schema``.
      raw: the same rows, with the column of ``raw_schema``.
    """
    parts = list(catalog.parts)
    while parts and parts[-1].rows <= len(examples) and parts[-1].size < _SEALED_BYTES:
        earlier = parts.pop()
        examples = pa.concat_tables([read_examples(folder, catalog, earlier), examples])
        raw = pa.concat_tables([_read_raw(folder, catalog, earlier), raw])
    return _with_part(folder, _with_parts(catalog, parts), examples, raw)


def without_label(folder: Path, catalog: Catalog, label: str) -> Catalog:
    """Removes a class, with all that was kept of it."""
    changed = _with_parts(catalog, [])
    for part in catalog.parts:
        examples = read_examples(folder, catalog, part)
        others = pc.not_equal(examples["label"], label)
        number = pc.sum(others).as_py()
        if number == part.rows:
            changed = _with_parts(changed, [*changed.parts, part])
        elif number:
            raw = _read_raw(folder, catalog, part)
            changed = _with_part(folder, changed, examples.filter(others), raw.filter(others))
    return changed


def embedded_anew(
    folder: Path,
    catalog: Catalog,
    embedder: Embedder,
    embed: Callable[[np.ndarray], np.ndarray],
) -> Catalog:
    """Embeds all raw examples by another model.

    Args:
      folder: of the gallery.
      catalog: as it is.
      embedder: the other model.
      embed: (n,) encoded images or (n, d) vectors to (n, size) embeddings.
    """
    changed = catalog.model_copy(update={"embedder": embedder, "parts": ()})
    for part in catalog.parts:
        raw = _read_raw(folder, catalog, part)
        blocks = [embed(raw_values(batch["raw"])) for batch in raw.to_batches()]
        examples = read_examples(folder, catalog, part).set_column(
            3,
            examples_schema(embedder.embedding_size).field("embedding"),
            floats_to_arrow(np.concatenate(blocks)),
        )
        piece = write_piece(folder, f"examples-{changed.next_number:08d}.arrow", examples)
        same_raw = part.model_copy(update={"examples": piece})
        changed = _with_parts(changed, [*changed.parts, same_raw], next_number=1)
    return changed


def read_examples(folder: Path, catalog: Catalog, part: Part) -> pa.Table:
    """Labels, sources, digests and embeddings of a part."""
    schema = examples_schema(catalog.embedder.embedding_size)
    return read_piece(folder, part.examples, schema, part.rows)


def raw_values(column: pa.Array) -> np.ndarray:
    """(n,) encoded images as objects, or (n, d) float32 vectors."""
    if pa.types.is_large_binary(column.type):
        images: np.ndarray = column.to_numpy(zero_copy_only=False)
        return images
    return floats_to_numpy(pa.chunked_array([column]), column.type.list_size)


def _read_raw(folder: Path, catalog: Catalog, part: Part) -> pa.Table:
    return read_piece(folder, part.raw, raw_schema(catalog.embedder.inputs), part.rows)


def _with_part(folder: Path, catalog: Catalog, examples: pa.Table, raw: pa.Table) -> Catalog:
    number = f"{catalog.next_number:08d}.arrow"
    part = Part(
        rows=len(examples),
        examples=write_piece(folder, f"examples-{number}", examples),
        raw=write_piece(folder, f"raw-{number}", raw),
    )
    return _with_parts(catalog, [*catalog.parts, part], next_number=1)


def _with_parts(catalog: Catalog, parts: list[Part], next_number: int = 0) -> Catalog:
    number = catalog.next_number + next_number
    return catalog.model_copy(update={"parts": tuple(parts), "next_number": number})
