import itertools

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from shard_writer import blobs, write_split

from diptych.components.trainer.batches import ShardReader, inverse_frequency_weights
from diptych.schemas.shards import TRIPLETS_SCHEMA, read_split_pairs, shard_name

TERM_KINDS = ["pairs", "triplets", "classes"]


@pytest.fixture
def split(tmp_path):
    data = blobs(batches=13, seed=1)
    write_split(tmp_path / "split", data, num_shards=4)
    return tmp_path / "split", data


def _reader(folder, rank=0, world_size=1, term_kind="pairs", **options):
    return ShardReader(folder, term_kind, 4, rank, world_size, seed=5, **options)


def _epoch(folder, rank, world_size, epoch=0, **options):
    return list(_reader(folder, rank, world_size, **options).iter_epoch(epoch))


def test_an_epoch_contains_every_batch_once(split):
    folder, data = split
    rows = np.concatenate([batch.x for batch in _epoch(folder, 0, 1)])
    expected = np.concatenate([x for x, _ in data])
    assert sorted(map(tuple, rows.tolist())) == sorted(map(tuple, expected.tolist()))


@pytest.mark.parametrize("term_kind", TERM_KINDS)
@pytest.mark.parametrize("world_size", [2, 4])
def test_workers_together_read_the_same_steps_as_one(split, world_size, term_kind):
    folder, _ = split
    single = _epoch(folder, 0, 1, term_kind=term_kind)
    by_worker = [
        _epoch(folder, rank, world_size, term_kind=term_kind) for rank in range(world_size)
    ]
    assert {len(steps) for steps in by_worker} == {len(single)}
    for step, parts in zip(single, zip(*by_worker, strict=True), strict=True):
        rows = sorted(tuple(row) for part in parts for row in part.x.tolist())
        assert rows == sorted(map(tuple, step.x.tolist()))
        weights = [len(part.terms["weight"]) for part in parts]
        assert sum(weights) == len(step.terms["weight"])


def test_row_numbers_refer_to_the_examples_of_the_pair(split):
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


def test_starts_split_a_step_into_its_batches_and_labels_identify_classes(split):
    folder, data = split
    labels_of_batch = {tuple(map(tuple, x.tolist())): labels for x, labels in data}
    num_batches = 0
    for step in _epoch(folder, 0, 1, term_kind="classes"):
        start, label = step.terms["start"], step.terms["label"]
        assert len(start) == 5
        assert start[-1] == len(step.x)
        for first, end in itertools.pairwise(start):
            if first == end:  # 13 batches in steps of 4
                continue
            classes = labels_of_batch[tuple(map(tuple, step.x[first:end].tolist()))]
            equal_labels = label[first:end, None] == label[None, first:end]
            np.testing.assert_array_equal(equal_labels, classes[:, None] == classes[None, :])
            num_batches += 1
    assert num_batches == 13


def test_triplet_rows_are_shifted_with_their_batch(split):
    folder, data = split
    for shard in range(4):  # one triplet per batch: its first, second and last row
        num_batches = len(range(shard, 13, 4))
        first = np.arange(num_batches) * 12
        columns = [shard + 4 * np.arange(num_batches), first, first + 1, first + 11, first * 0 + 1]
        arrays = [
            pa.array(c, field.type) for c, field in zip(columns, TRIPLETS_SCHEMA, strict=True)
        ]
        pq.write_table(
            pa.table(arrays, schema=TRIPLETS_SCHEMA), folder / shard_name("triplets", shard, 4)
        )
    expected = {tuple(tuple(x[row].tolist()) for row in (0, 1, 11)) for x, _ in data}
    triplets = set()
    for step in _epoch(folder, 0, 1, term_kind="triplets"):
        rows = (step.terms[name] for name in ("anchor", "positive", "negative"))
        for triplet in zip(*rows, strict=True):
            triplets.add(tuple(tuple(step.x[row].tolist()) for row in triplet))
    assert triplets == expected


def test_epochs_differ_in_order_and_are_reproducible(split):
    folder, _ = split
    first, again, second = (
        [batch.x[0].tolist() for batch in _epoch(folder, 0, 1, epoch)] for epoch in (0, 0, 1)
    )
    assert first == again
    assert first != second


def test_an_epoch_resumes_from_a_step(split):
    reader = _reader(split[0])
    complete = [step.x.tolist() for step in reader.iter_epoch(3)]
    assert [step.x.tolist() for step in reader.iter_epoch(3, first_step=2)] == complete[2:]


def test_noise_is_the_same_on_every_worker_and_differs_between_epochs(split):
    folder, _ = split

    def sample_noise(generator, batch):
        return generator.random((len(batch.x), 2)).astype(np.float32)

    def noise(rank, world_size, epoch):
        steps = _epoch(folder, rank, world_size, epoch, sample_noise=sample_noise)
        return [step.noise for step in steps]

    parts = zip(noise(0, 2, 0), noise(1, 2, 0), strict=True)
    for step, two in zip(noise(0, 1, 0), parts, strict=True):
        np.testing.assert_array_equal(np.sort(step, axis=0), np.sort(np.concatenate(two), axis=0))
    assert not np.array_equal(noise(0, 1, 0)[0], noise(0, 1, 1)[0])


def test_inverse_frequency_weights_by_hand(tmp_path):
    x = np.arange(24, dtype=np.float32).reshape(8, 3)
    write_split(tmp_path / "split", [(x[:5], [0, 0, 0, 2, 2]), (x[5:], [0, 0, 0])], num_shards=2)
    # 8 rows, 2 classes: 8 / (2 * 6) and 8 / (2 * 2); class 1 has no row
    weights = inverse_frequency_weights(tmp_path / "split")
    assert weights.tolist() == pytest.approx([2 / 3, 0, 2])

    def term_weights(term_kind):
        reader = ShardReader(tmp_path / "split", term_kind, 1, class_weights=weights)
        return next(reader.iter_sequential()).terms["weight"].tolist()

    assert term_weights("classes") == pytest.approx([2 / 3] * 3 + [2] * 2)
    negative = (2 / 3 + 2) / 2  # 00 01 02 03 04, 12 13 14, 23 24, 34
    pairs = [2 / 3, 2 / 3, *[negative] * 2, 2 / 3, *[negative] * 4, 2]
    assert term_weights("pairs") == pytest.approx(pairs)


def test_split_pairs_refer_to_distinct_examples_and_to_their_placement(split):
    folder, data = split
    pairs = read_split_pairs(folder)
    assert len(pairs.ids) == sum(len(x) for x, _ in data)
    assert len(pairs.same) == 13 * 66  # 12 rows per batch
    equal_labels = pairs.labels[pairs.left] == pairs.labels[pairs.right]
    assert (equal_labels == (pairs.same == 1)).all()
    for shard, placed in enumerate(pairs.placed):
        rows = np.concatenate([data[number][0] for number in range(shard, 13, 4)])
        assert [id.tobytes() for id in pairs.ids[placed]] == [row.tobytes()[:16] for row in rows]
