import numpy as np
import pytest
from shard_writer import blobs, write_split

from diptych.components.trainer.batches import ShardReader
from diptych.schemas.shards import read_split_pairs


@pytest.fixture
def split(tmp_path):
    data = blobs(batches=13, seed=1)
    write_split(tmp_path / "split", data, num_shards=4)
    return tmp_path / "split", data


def _epoch(folder, rank, workers, epoch=0):
    return list(ShardReader(folder, 4, rank, workers, seed=5).epoch(epoch))


def test_an_epoch_holds_every_batch_once(split):
    folder, data = split
    rows = np.concatenate([batch.x for batch in _epoch(folder, 0, 1)])
    wanted = np.concatenate([x for x, _ in data])
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, wanted.tolist()))


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_together_see_the_same_steps_as_one(split, workers):
    folder, _ = split
    alone = _epoch(folder, 0, 1)
    together = [_epoch(folder, rank, workers) for rank in range(workers)]
    assert {len(steps) for steps in together} == {len(alone)}
    for step, parts in zip(alone, zip(*together, strict=True), strict=True):
        rows = sorted(tuple(row) for part in parts for row in part.x.tolist())
        assert rows == sorted(map(tuple, step.x.tolist()))
        assert sum(len(part.left) for part in parts) == len(step.left)


def test_row_numbers_point_at_the_pair(split):
    folder, data = split
    label_of = {
        tuple(row): int(label)
        for x, labels in data
        for row, label in zip(x.tolist(), labels, strict=True)
    }
    for batch in _epoch(folder, 0, 1):
        for left, right, same in zip(batch.left, batch.right, batch.same, strict=True):
            labels = [label_of[tuple(batch.x[row].tolist())] for row in (left, right)]
            assert (labels[0] == labels[1]) == (same == 1)


def test_epochs_differ_in_order_and_are_drawn_again_alike(split):
    folder, _ = split
    first, again, second = (
        [batch.x[0].tolist() for batch in _epoch(folder, 0, 1, epoch)] for epoch in (0, 0, 1)
    )
    assert first == again
    assert first != second


def test_distinct_examples_keep_their_pairs(split):
    folder, data = split
    pairs = read_split_pairs(folder)
    assert len(pairs.ids) == sum(len(x) for x, _ in data)
    assert len(pairs.same) == 13 * 66  # 12 rows a batch
    agree = pairs.labels[pairs.left] == pairs.labels[pairs.right]
    assert (agree == (pairs.same == 1)).all()
