"""(c) The same balanced sampling with Polars, all in memory: windows, joins and a sort.

Reads with PairGen's own reader, as Polars cannot read TFRecords.
"""

from pathlib import Path

import polars as pl

from diptych.components.pair_gen.read_examples import read_rows
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.input_spec import Inputs

_CHUNK = ["class", "chunk"]


def run(paths: list[str], folder: Path, settings: Pairs, width: int) -> int:
    """Draws and writes the pairs; returns how many."""
    folder.mkdir(parents=True)
    inputs = Inputs(kind="image", size=(width, 1), channels=1)
    parts = [pl.from_arrow(rows) for path in paths for rows in read_rows(path, inputs, 0)]
    rows = pl.concat(parts).select("id", "label", "class", "x").with_row_index("example")
    placed = pl.concat([_round(rows, settings, number) for number in range(settings.rounds)])
    placed = placed.sort("batch", "class", "chunk").drop("key").with_row_index("row")

    fields = ["row", "class", "chunk", "fill", "batch"]
    rows_only = placed.select(fields)
    same = (
        rows_only.join(rows_only, on=["batch", "class", "chunk"])
        .filter(pl.col("row") < pl.col("row_right"), ~(pl.col("fill") & pl.col("fill_right")))
        .select("batch", "class", left="row", right="row_right", same=pl.lit(1, pl.Int8))
    )
    unfilled = rows_only.filter(~pl.col("fill"))
    wanted = same.group_by("batch").agg(wanted=pl.len())
    different = (
        unfilled.join(unfilled, on="batch")
        .filter(pl.col("row") < pl.col("row_right"), pl.col("class") != pl.col("class_right"))
        .with_columns(key=pl.struct("row", "row_right").hash(settings.seed))
        .with_columns(nth=pl.col("key").rank("ordinal").over("batch"))
        .join(wanted, on="batch")
        .filter(pl.col("nth") <= pl.col("wanted"))
        .select("batch", left="row", right="row_right", same=pl.lit(0, pl.Int8))
    )
    kept = different.group_by("batch").agg(kept=pl.len())
    same = (
        same.with_columns(nth=pl.int_range(pl.len()).over("batch"))
        .join(kept, on="batch")
        .filter(pl.col("nth") < pl.col("kept"))
    )
    pairs = pl.concat([same.select(different.columns), different])
    pairs = pairs.sort("batch", "left").with_columns(weight=pl.lit(1, pl.Float32))

    of_batch = rows_only.group_by("batch").agg(first=pl.col("row").min(), size=pl.len())
    of_class = rows_only.group_by("batch", "class").agg(begin=pl.col("row").min(), own=pl.len())
    draw = pl.struct("left", "right").hash(settings.seed + 1)
    negative = pl.col("first") + (draw % (pl.col("size") - pl.col("own"))).cast(pl.UInt32)
    shift = pl.when(pl.col("negative") >= pl.col("begin")).then(pl.col("own")).otherwise(0)
    triplets = (
        same.join(of_batch, on="batch")
        .join(of_class, on=["batch", "class"])
        .with_columns(negative=negative)
        .select("batch", "left", "right", pl.col("negative") + shift)
        .sort("batch", "left")
    )
    examples = rows[placed["example"]].with_columns(placed["batch"])
    examples.drop("example").write_ipc(folder / "examples.arrow")
    pairs.write_parquet(folder / "pairs.parquet")
    triplets.write_parquet(folder / "triplets.parquet")
    return pairs.height


def _round(rows: pl.DataFrame, settings: Pairs, number: int) -> pl.DataFrame:
    size, classes = settings.examples_per_class, settings.classes_per_batch
    key = pl.col("example").hash(number)
    ranked = rows.select("example", "class", key=key).with_columns(
        rank=pl.col("key").rank("ordinal").over("class") - 1, count=pl.len().over("class")
    )
    missing = (size - pl.col("count") % size) % size
    fills = ranked.filter(pl.col("count") >= size, pl.col("rank") < missing)
    placed = pl.concat(
        [
            ranked.with_columns(chunk=pl.col("rank") // size, fill=False),
            fills.with_columns(chunk=pl.col("count") // size, fill=True),
        ]
    )
    chunks = placed.select(_CHUNK).unique()
    chunks = chunks.with_columns(
        seat=pl.struct(_CHUNK).hash(settings.seed + number).rank("ordinal").over("chunk") - 1,
        width=pl.len().over("chunk"),
    )
    per_layer = pl.max_horizontal(pl.col("width") // classes, 1)
    together = pl.max_horizontal((classes + pl.col("width") - 1) // pl.col("width"), 1)
    chunks = chunks.with_columns(
        layer=pl.col("chunk") // together, cut=pl.col("seat") * per_layer // pl.col("width")
    )
    alone = pl.col("width") == 1  # joins the other batches in turn
    batch = pl.struct("layer", "cut", together).rank("dense")
    several = chunks.filter(~alone).with_columns(batch=batch)
    joining = chunks.filter(alone).with_columns(
        batch=(pl.col("chunk") % several["batch"].n_unique() + 1).cast(pl.UInt32)
    )
    chunks = pl.concat([several, joining]).select(*_CHUNK, pl.col("batch") + number * 2**24)
    return placed.join(chunks, on=_CHUNK).select("example", *_CHUNK, "fill", "batch", "key")
