"""The same task in typical Beam code: one element per row, classes grouped by key."""

import random
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from diptych.schemas.config.pairs import PairsConfig

_Row = tuple[bytes, bytes]  # id, input
_BATCH = ("batch", pa.string())
_EXAMPLES = pa.schema(
    [_BATCH, ("row", pa.int32()), ("id", pa.binary()), ("label", pa.binary()), ("x", pa.binary())]
)
_PAIRS = pa.schema([_BATCH, ("left", pa.int32()), ("right", pa.int32()), ("same", pa.int8())])
_TRIPLETS = pa.schema(
    [_BATCH, *((name, pa.int32()) for name in ("anchor", "positive", "negative"))]
)


def run(paths: list[str], folder: Path, settings: PairsConfig, width: int) -> int:
    """Sample and write the pairs; return their number."""
    del width
    folder.mkdir(parents=True)
    with beam.Pipeline(runner=FnApiRunner()) as pipeline:
        batches = (
            pipeline
            | beam.Create(paths)
            | beam.io.ReadAllFromTFRecord()
            | "Parse" >> beam.Map(_parse_record)
            | "ByClass" >> beam.GroupByKey()
            | "Chunks" >> beam.FlatMap(_make_chunks, settings)
            | "ByLayer" >> beam.GroupByKey()
            | "Batches" >> beam.FlatMap(_make_batches, settings)
        )
        for name, rows, schema in (
            ("examples", _list_examples, _EXAMPLES),
            ("pairs", _list_pairs, _PAIRS),
            ("triplets", _list_triplets, _TRIPLETS),
        ):
            written = beam.io.WriteToParquet(str(folder / name), schema)
            batches | f"Rows[{name}]" >> beam.FlatMap(rows) | f"Write[{name}]" >> written
    return sum(pa.parquet.read_metadata(path).num_rows for path in folder.glob("pairs*"))


def _parse_record(record: bytes) -> tuple[bytes, _Row]:
    import tensorflow as tf

    features = tf.train.Example.FromString(record).features.feature
    one_id, label, x = (features[name].bytes_list.value[0] for name in ("id", "label", "x"))
    return label, (one_id, x)


def _make_chunks(
    group: tuple[bytes, Iterable[_Row]], settings: PairsConfig
) -> Iterator[tuple[str, tuple[bytes, list[_Row]]]]:
    label, members = group[0], list(group[1])
    size = settings.examples_per_class
    for number in range(settings.rounds):
        rng = random.Random(f"{settings.seed} {number} {label!r}")
        rng.shuffle(members)
        for layer, start in enumerate(range(0, len(members), size)):
            yield f"{number}-{layer}", (label, members[start : start + size])


def _make_batches(
    group: tuple[str, Iterable[tuple[bytes, list[_Row]]]], settings: PairsConfig
) -> Iterator[tuple[str, list[tuple[bytes, _Row]]]]:
    layer, chunks = group[0], list(group[1])
    random.Random(f"{settings.seed} {layer}").shuffle(chunks)
    per_batch = settings.classes_per_batch
    for number, start in enumerate(range(0, len(chunks), per_batch)):
        batch_rows = [
            (label, row) for label, rows in chunks[start : start + per_batch] for row in rows
        ]
        yield f"{layer}-{number}", batch_rows


def _list_examples(batch: tuple[str, list[tuple[bytes, _Row]]]) -> Iterator[dict[str, Any]]:
    for row, (label, (one_id, x)) in enumerate(batch[1]):
        yield {"batch": batch[0], "row": row, "id": one_id, "label": label, "x": x}


def _sample_batch(batch: tuple[str, list[tuple[bytes, _Row]]]) -> Iterator[tuple[int, int, int]]:
    labels = [label for label, _ in batch[1]]
    all_pairs = list(combinations(range(len(labels)), 2))
    positive = [pair for pair in all_pairs if labels[pair[0]] == labels[pair[1]]]
    negative = [pair for pair in all_pairs if labels[pair[0]] != labels[pair[1]]]
    count = min(len(positive), len(negative))
    rng = random.Random(batch[0])
    for pairs, same in ((positive, 1), (negative, 0)):
        yield from ((left, right, same) for left, right in rng.sample(pairs, count))


def _list_pairs(batch: tuple[str, list[tuple[bytes, _Row]]]) -> Iterator[dict[str, Any]]:
    for left, right, same in _sample_batch(batch):
        yield {"batch": batch[0], "left": left, "right": right, "same": same}


def _list_triplets(batch: tuple[str, list[tuple[bytes, _Row]]]) -> Iterator[dict[str, Any]]:
    labels = [label for label, _ in batch[1]]
    rng = random.Random(batch[0])
    for anchor, positive, same in _sample_batch(batch):
        if same:
            others = [row for row, label in enumerate(labels) if label != labels[anchor]]
            negative = rng.choice(others)
            row = {"anchor": anchor, "positive": positive, "negative": negative}
            yield {"batch": batch[0], **row}
