"""The same balanced sampling with Polars, in memory: window functions, joins and a sort.

Reads with PairGen's reader, because Polars cannot read TFRecords.
"""

from pathlib import Path

import polars as pl

from diptych.components.pair_gen.read_examples import read_transformed_rows
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.input_spec import InputSpec

_CHUNK = ["class", "chunk"]


def run(paths: list[str], folder: Path, settings: PairsConfig, width: int) -> int:
    """Sample and write the pairs; return their number."""
    folder.mkdir(parents=True)
    inputs = InputSpec(kind="image", size=(width, 1), channels=1)
    parts = [
        pl.from_arrow(rows) for path in paths for rows in read_transformed_rows(path, inputs, 0)
    ]
    rows = pl.concat(parts).select("id", "label", "class", "x").with_row_index("example")
    slots = pl.concat([_assign_round(rows, settings, number) for number in range(settings.rounds)])
    slots = slots.sort("batch", "class", "chunk").drop("key").with_row_index("row")

    fields = ["row", "class", "chunk", "is_padding", "batch"]
    rows_only = slots.select(fields)
    positive = (
        rows_only.join(rows_only, on=["batch", "class", "chunk"])
        .filter(
            pl.col("row") < pl.col("row_right"),
            ~(pl.col("is_padding") & pl.col("is_padding_right")),
        )
        .select("batch", "class", left="row", right="row_right", same=pl.lit(1, pl.Int8))
    )
    without_padding = rows_only.filter(~pl.col("is_padding"))
    num_wanted = positive.group_by("batch").agg(num_wanted=pl.len())
    negative_pairs = (
        without_padding.join(without_padding, on="batch")
        .filter(pl.col("row") < pl.col("row_right"), pl.col("class") != pl.col("class_right"))
        .with_columns(key=pl.struct("row", "row_right").hash(settings.seed))
        .with_columns(nth=pl.col("key").rank("ordinal").over("batch"))
        .join(num_wanted, on="batch")
        .filter(pl.col("nth") <= pl.col("num_wanted"))
        .select("batch", left="row", right="row_right", same=pl.lit(0, pl.Int8))
    )
    kept = negative_pairs.group_by("batch").agg(kept=pl.len())
    positive = (
        positive.with_columns(nth=pl.int_range(pl.len()).over("batch"))
        .join(kept, on="batch")
        .filter(pl.col("nth") < pl.col("kept"))
    )
    pairs = pl.concat([positive.select(negative_pairs.columns), negative_pairs])
    pairs = pairs.sort("batch", "left").with_columns(weight=pl.lit(1, pl.Float32))

    batch_rows = rows_only.group_by("batch").agg(first=pl.col("row").min(), size=pl.len())
    class_rows = rows_only.group_by("batch", "class").agg(begin=pl.col("row").min(), own=pl.len())
    draw = pl.struct("left", "right").hash(settings.seed + 1)
    negative = pl.col("first") + (draw % (pl.col("size") - pl.col("own"))).cast(pl.UInt32)
    shift = pl.when(pl.col("negative") >= pl.col("begin")).then(pl.col("own")).otherwise(0)
    triplets = (
        positive.join(batch_rows, on="batch")
        .join(class_rows, on=["batch", "class"])
        .with_columns(negative=negative)
        .select("batch", "left", "right", pl.col("negative") + shift)
        .sort("batch", "left")
    )
    examples = rows[slots["example"]].with_columns(slots["batch"])
    examples.drop("example").write_ipc(folder / "examples.arrow")
    pairs.write_parquet(folder / "pairs.parquet")
    triplets.write_parquet(folder / "triplets.parquet")
    return pairs.height


def _assign_round(rows: pl.DataFrame, settings: PairsConfig, number: int) -> pl.DataFrame:
    size, classes = settings.examples_per_class, settings.classes_per_batch
    key = pl.col("example").hash(number)
    ranked = rows.select("example", "class", key=key).with_columns(
        rank=pl.col("key").rank("ordinal").over("class") - 1, count=pl.len().over("class")
    )
    missing = (size - pl.col("count") % size) % size
    padding = ranked.filter(pl.col("count") >= size, pl.col("rank") < missing)
    slots = pl.concat(
        [
            ranked.with_columns(chunk=pl.col("rank") // size, is_padding=False),
            padding.with_columns(chunk=pl.col("count") // size, is_padding=True),
        ]
    )
    chunks = slots.select(_CHUNK).unique()
    chunks = chunks.with_columns(
        position=pl.struct(_CHUNK).hash(settings.seed + number).rank("ordinal").over("chunk") - 1,
        width=pl.len().over("chunk"),
    )
    per_layer = pl.max_horizontal(pl.col("width") // classes, 1)
    merged = pl.max_horizontal((classes + pl.col("width") - 1) // pl.col("width"), 1)
    chunks = chunks.with_columns(
        layer=pl.col("chunk") // merged, cut=pl.col("position") * per_layer // pl.col("width")
    )
    alone = pl.col("width") == 1  # joins the other batches in turn
    batch = pl.struct("layer", "cut", merged).rank("dense")
    several = chunks.filter(~alone).with_columns(batch=batch)
    joining = chunks.filter(alone).with_columns(
        batch=(pl.col("chunk") % several["batch"].n_unique() + 1).cast(pl.UInt32)
    )
    chunks = pl.concat([several, joining]).select(*_CHUNK, pl.col("batch") + number * 2**24)
    return slots.join(chunks, on=_CHUNK).select("example", *_CHUNK, "is_padding", "batch", "key")
