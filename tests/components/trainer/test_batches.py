import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shard_writer import blobs, write_split

from diptych.components.trainer.batches import ShardReader, inverse_class_frequencies
from diptych.schemas.shards import TRIPLETS, read_split_pairs, shard_name

KINDS = ["pairs", "triplets", "classes"]


@pytest.fixture
def split(tmp_path):
    data = blobs(batches=13, seed=1)
    write_split(tmp_path / "split", data, num_shards=4)
    return tmp_path / "split", data


def _reader(folder, rank=0, workers=1, kind="pairs", **options):
    return ShardReader(folder, kind, 4, rank, workers, seed=5, **options)


def _epoch(folder, rank, workers, epoch=0, **options):
    return list(_reader(folder, rank, workers, **options).epoch(epoch))


def test_an_epoch_holds_every_batch_once(split):
    folder, data = split
    rows = np.concatenate([batch.x for batch in _epoch(folder, 0, 1)])
    wanted = np.concatenate([x for x, _ in data])
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, wanted.tolist()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [2, 4])
def test_workers_together_see_the_same_steps_as_one(split, workers, kind):
    folder, _ = split
    alone = _epoch(folder, 0, 1, kind=kind)
    together = [_epoch(folder, rank, workers, kind=kind) for rank in range(workers)]
    assert {len(steps) for steps in together} == {len(alone)}
    for step, parts in zip(alone, zip(*together, strict=True), strict=True):
        rows = sorted(tuple(row) for part in parts for row in part.x.tolist())
        assert rows == sorted(map(tuple, step.x.tolist()))
        weights = [len(part.terms["weight"]) for part in parts]
        assert sum(weights) == len(step.terms["weight"])


def test_row_numbers_point_at_the_pair(split):
    folder, data = split
    label_of = {
        tuple(row): int(label)
        for x, labels in data
        for row, label in zip(x.tolist(), labels, strict=True)
    }
    for batch in _epoch(folder, 0, 1):
        terms = (batch.terms[name] for name in ("left", "right", "same"))
        for left, right, same in zip(*terms, strict=True):
            labels = [label_of[tuple(batch.x[row].tolist())] for row in (left, right)]
            assert (labels[0] == labels[1]) == (same == 1)


def test_starts_cut_a_step_into_its_batches_and_labels_tell_classes_apart(split):
    folder, data = split
    whole = {tuple(map(tuple, x.tolist())): labels for x, labels in data}
    seen = 0
    for step in _epoch(folder, 0, 1, kind="classes"):
        start, label = step.terms["start"], step.terms["label"]
        assert len(start) == 5
        assert start[-1] == len(step.x)
        for first, end in itertools.pairwise(start):
            if first == end:  # 13 batches in steps of 4
                continue
            classes = whole[tuple(map(tuple, step.x[first:end].tolist()))]
            agree = label[first:end, None] == label[None, first:end]
            np.testing.assert_array_equal(agree, classes[:, None] == classes[None, :])
            seen += 1
    assert seen == 13


def test_rows_of_triplets_move_with_their_batch(split):
    folder, data = split
    for shard in range(4):  # of every batch: its first row, its second, its last
        of_shard = len(range(shard, 13, 4))
        first = np.arange(of_shard) * 12
        columns = [shard + 4 * np.arange(of_shard), first, first + 1, first + 11, first * 0 + 1]
        arrays = [pa.array(c, field.type) for c, field in zip(columns, TRIPLETS, strict=True)]
        pq.write_table(pa.table(arrays, schema=TRIPLETS), folder / shard_name("triplets", shard, 4))
    wanted = {tuple(tuple(x[row].tolist()) for row in (0, 1, 11)) for x, _ in data}
    found = set()
    for step in _epoch(folder, 0, 1, kind="triplets"):
        rows = (step.terms[name] for name in ("anchor", "positive", "negative"))
        for three in zip(*rows, strict=True):
            found.add(tuple(tuple(step.x[row].tolist()) for row in three))
    assert found == wanted


def test_epochs_differ_in_order_and_are_drawn_again_alike(split):
    folder, _ = split
    first, again, second = (
        [batch.x[0].tolist() for batch in _epoch(folder, 0, 1, epoch)] for epoch in (0, 0, 1)
    )
    assert first == again
    assert first != second


def test_an_epoch_goes_on_from_a_step(split):
    reader = _reader(split[0])
    whole = [step.x.tolist() for step in reader.epoch(3)]
    assert [step.x.tolist() for step in reader.epoch(3, first_step=2)] == whole[2:]


def test_what_is_drawn_is_the_same_on_any_worker_and_another_in_the_next_epoch(split):
    folder, _ = split

    def drawn(rank, workers, epoch):
        def draw(generator, batch):
            return generator.random((len(batch.x), 2)).astype(np.float32)

        return [step.drawn for step in _epoch(folder, rank, workers, epoch, draw=draw)]

    parts = zip(drawn(0, 2, 0), drawn(1, 2, 0), strict=True)
    for step, two in zip(drawn(0, 1, 0), parts, strict=True):
        np.testing.assert_array_equal(np.sort(step, axis=0), np.sort(np.concatenate(two), axis=0))
    assert not np.array_equal(drawn(0, 1, 0)[0], drawn(0, 1, 1)[0])


def test_inverse_class_frequencies_by_hand(tmp_path):
    x = np.arange(24, dtype=np.float32).reshape(8, 3)
    write_split(tmp_path / "split", [(x[:5], [0, 0, 0, 2, 2]), (x[5:], [0, 0, 0])], num_shards=2)
    # 8 rows, 2 classes: 8 / (2 * 6) and 8 / (2 * 2); no row is of class 1
    weights = inverse_class_frequencies(tmp_path / "split")
    assert weights.tolist() == pytest.approx([2 / 3, 0, 2])

    def weights_of(kind):
        reader = ShardReader(tmp_path / "split", kind, 1, class_weights=weights)
        return next(reader.in_order()).terms["weight"].tolist()

    assert weights_of("classes") == pytest.approx([2 / 3] * 3 + [2] * 2)
    apart = (2 / 3 + 2) / 2  # 00 01 02 03 04, 12 13 14, 23 24, 34
    pairs = [2 / 3, 2 / 3, apart, apart, 2 / 3, apart, apart, apart, apart, 2]
    assert weights_of("pairs") == pytest.approx(pairs)


def test_distinct_examples_keep_their_pairs_and_know_where_they_are_placed(split):
    folder, data = split
    pairs = read_split_pairs(folder)
    assert len(pairs.ids) == sum(len(x) for x, _ in data)
    assert len(pairs.same) == 13 * 66  # 12 rows a batch
    agree = pairs.labels[pairs.left] == pairs.labels[pairs.right]
    assert (agree == (pairs.same == 1)).all()
    for shard, placed in enumerate(pairs.placed):
        rows = np.concatenate([data[number][0] for number in range(shard, 13, 4)])
        assert [id.tobytes() for id in pairs.ids[placed]] == [row.tobytes()[:16] for row in rows]
