import numpy as np
from shard_writer import blobs, write_split

from diptych.components.evaluator.slices import class_sizes, slices_of
from diptych.schemas.shards import SplitPairs


def split_of(classes, labels=None):
    classes = np.array(classes)
    labels = [b"%d" % one for one in classes] if labels is None else labels
    nothing = np.empty(0, np.int64)
    return SplitPairs(
        ids=np.zeros((len(classes), 16), np.uint8),
        shard=nothing,
        row=nothing,
        left=nothing,
        right=nothing,
        same=nothing,
        labels=np.array(labels, object),
        classes=classes,
        placed=[],
    )


def rows_of(slices):
    return {name: np.flatnonzero(mask).tolist() for name, mask in slices.items()}


def test_seen_and_unseen_classes_are_apart():
    slices, _ = slices_of(split_of([0, -1, 1, -1]), np.array([5, 5]))
    assert rows_of(slices) == {"all": [0, 1, 2, 3], "seen": [0, 2], "unseen": [1, 3]}


def test_a_slice_without_examples_is_not_there():
    assert list(slices_of(split_of([-1, -1]), np.array([4, 7, 9]))[0]) == ["all", "unseen"]
    assert list(slices_of(split_of([0, 1]), np.array([4, 4]))[0]) == ["all", "seen"]


def test_classes_with_few_and_with_many_training_examples_are_apart():
    sizes = np.array([100, 2, 30, 3, 90, 31])
    slices, notes = slices_of(split_of([0, 1, 2, 3, 4, 5, -1]), sizes)
    assert rows_of(slices)["rare"] == [1, 3]
    assert rows_of(slices)["common"] == [0, 4]
    (note,) = notes
    assert "rare with at most 3 examples" in note
    assert "common with 90 or more" in note


def test_a_class_of_the_vocabulary_without_training_examples_has_no_say():
    slices, _ = slices_of(split_of([0, 1, 2]), np.array([2, 0, 2]))
    assert "rare" not in slices


def test_nested_labels_are_apart_by_their_first_folder():
    labels = [b"Latin/a", b"Greek/a", b"Latin/b", b"loose"]
    slices, _ = slices_of(split_of([0, 1, 2, 3], labels), np.array([4, 4, 4, 4]))
    assert rows_of(slices)["Latin/"] == [0, 2]
    assert rows_of(slices)["Greek/"] == [1]
    assert list(slices) == ["all", "seen", "Greek/", "Latin/"]


def test_folders_are_no_slices_where_there_is_one_or_there_are_too_many():
    for folders in (1, 21):
        labels = [b"folder%d/x%d" % (row % folders, row) for row in range(42)]
        slices, _ = slices_of(split_of(np.zeros(42, int), labels), np.array([4]))
        assert list(slices) == ["all", "seen"]


def test_an_example_placed_in_several_batches_counts_once(tmp_path):
    first, second = blobs(batches=2, seed=0, classes=3, each=4)
    write_split(tmp_path / "split", [first, second, first, first], num_shards=2)
    assert class_sizes(tmp_path / "split").tolist() == [8, 8, 8]
