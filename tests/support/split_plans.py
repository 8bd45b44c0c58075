"""Plan the splits of examples in memory, as ExampleGen plans those of files."""

import dataclasses
import json

import numpy as np
import pyarrow as pa

from diptych.components.example_gen.corrections import CorrectedBatch
from diptych.components.example_gen.example_batch import (
    ExampleBatch,
    Times,
    bytes_feature,
    compute_ids,
    list_feature,
)
from diptych.components.example_gen.fingerprints import fingerprint_vectors, grid_steps
from diptych.components.example_gen.records import BatchRecords, row_keys
from diptych.components.example_gen.report_data import plan_and_report
from diptych.components.example_gen.splits import initial_splits
from diptych.schemas.config.data import Table
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.rejected_rows import IngestCounts, IngestSummary
from diptych.schemas.shards import SPLITS

DATA = Table(kind="table", path="t.csv", label="y")


@dataclasses.dataclass
class Planned:
    """Outputs of a plan. ``splits`` maps the source of each example to its split."""

    outputs: object
    splits: dict[str, str]

    @property
    def report(self):
        return self.outputs.report

    @property
    def rejected(self):
        return dict(self.outputs.rejected)

    def leaked(self):
        return {bytes(row).hex() for row in self.outputs.leaked_ids}


def plan_vectors(rows, split=None, batch_size=5, steps=None, span=""):
    """Plan the splits of examples.

    Args:
      rows: Dicts with source, vector and label, and optionally time, and the key of an id.
      split: Configuration.
      batch_size: Number of rows per batch.
      steps: Grid; by default that of all vectors.
      span: Name of a span, or a function from a row to it.
    """
    vectors = [np.array(row["vector"], np.float32) for row in rows]

    def make_batch(chosen):
        ids = compute_ids([rows[i].get("id", vectors[i]) for i in chosen])
        return _batch(
            {
                "label": bytes_feature([rows[i]["label"] for i in chosen]),
                "id": bytes_feature(ids),
                "source": bytes_feature([rows[i]["source"] for i in chosen]),
            },
            ids,
            [rows[i] for i in chosen],
        )

    return _plan(rows, [vectors], make_batch, split, batch_size, steps, span)


def plan_pairs(rows, split=None, batch_size=5, steps=None):
    """Plan the splits of given pairs: dicts with source, left, right and same."""
    sides = [[np.array(row[side], np.float32) for row in rows] for side in ("left", "right")]

    def make_batch(chosen):
        left, right = (compute_ids([side[i] for i in chosen]) for side in sides)
        ids = compute_ids((a + b).encode() for a, b in zip(left, right, strict=True))
        features = {
            "same": list_feature(pa.array([rows[i]["same"] for i in chosen], pa.int64()), 1),
            "id": bytes_feature(ids),
            "left_id": bytes_feature(left),
            "right_id": bytes_feature(right),
            "source": bytes_feature([rows[i]["source"] for i in chosen]),
        }
        return _batch(features, ids, [rows[i] for i in chosen])

    return _plan(rows, sides, make_batch, split, batch_size, steps, "")


def _batch(features, ids, rows):
    times = None
    if rows and "time" in rows[0]:
        times = Times(np.array([float(row["time"]) for row in rows]), np.zeros(len(rows), bool))
    keys = [row.get("key", example_id).encode() for row, example_id in zip(rows, ids, strict=True)]
    return ExampleBatch(pa.record_batch(features), keys, (), times=times)


def _plan(rows, sides, make_batch, split, batch_size, steps, span):
    split = split or SplitConfig()
    span_of = span if callable(span) else lambda row: span
    if steps is None:
        steps = grid_steps(np.concatenate([np.stack(side) for side in sides]))
    names = sorted({span_of(row) for row in rows})
    records, initial = [], {}
    for name in names:
        members = [i for i, row in enumerate(rows) if span_of(row) == name]
        for first in range(0, len(members), batch_size):
            chosen = members[first : first + batch_size]
            batch = make_batch(chosen)
            splits = initial_splits(batch, split, ())
            keys = row_keys(json.dumps([name, first]), len(chosen))
            prints = [
                fingerprint_vectors(np.stack([side[i] for i in chosen]), steps) for side in sides
            ]
            record = BatchRecords.of_batch(name, keys, splits, CorrectedBatch(batch), prints)
            records.append(BatchRecords.from_element(record.to_element()))
            for i, key, assigned in zip(chosen, keys, splits, strict=True):
                initial[rows[i]["source"]] = (key, assigned)
    summary = IngestSummary(spans={name: IngestCounts() for name in names}, skipped_spans={})
    outputs, changes = plan_and_report(records, summary, DATA, split)
    final = {}
    for source, (key, assigned) in initial.items():
        number = changes.apply(np.array([key]), np.array([assigned], np.uint8))[0]
        final[source] = SPLITS[number] if number < len(SPLITS) else "rejected"
    return Planned(outputs, final)
