import numpy as np
from shard_writer import blobs, write_split

from diptych.components.evaluator.slices import count_examples_per_class, make_slices
from diptych.schemas.shards import SplitPairs


def make_split(classes, labels=None):
    classes = np.array(classes)
    labels = [b"%d" % class_index for class_index in classes] if labels is None else labels
    unused = np.empty(0, np.int64)
    return SplitPairs(
        ids=np.zeros((len(classes), 16), np.uint8),
        shard=unused,
        row=unused,
        left=unused,
        right=unused,
        same=unused,
        labels=np.array(labels, object),
        classes=classes,
        placed=[],
    )


def slice_rows(slices):
    return {name: np.flatnonzero(mask).tolist() for name, mask in slices.items()}


def test_seen_and_unseen_classes_are_separate_slices():
    slices, _ = make_slices(make_split([0, -1, 1, -1]), np.array([5, 5]))
    assert slice_rows(slices) == {"all": [0, 1, 2, 3], "seen": [0, 2], "unseen": [1, 3]}


def test_empty_slices_are_omitted():
    assert list(make_slices(make_split([-1, -1]), np.array([4, 7, 9]))[0]) == ["all", "unseen"]
    assert list(make_slices(make_split([0, 1]), np.array([4, 4]))[0]) == ["all", "seen"]


def test_rare_and_common_classes_are_separate_slices():
    sizes = np.array([100, 2, 30, 3, 90, 31])
    slices, notes = make_slices(make_split([0, 1, 2, 3, 4, 5, -1]), sizes)
    assert slice_rows(slices)["rare"] == [1, 3]
    assert slice_rows(slices)["common"] == [0, 4]
    (note,) = notes
    assert "at most 3 training examples" in note
    assert "common classes have at least 90" in note


def test_classes_without_training_examples_do_not_affect_the_size_limits():
    slices, _ = make_slices(make_split([0, 1, 2]), np.array([2, 0, 2]))
    assert "rare" not in slices


def test_nested_labels_have_one_slice_per_top_level_folder():
    labels = [b"Latin/a", b"Greek/a", b"Latin/b", b"loose"]
    slices, _ = make_slices(make_split([0, 1, 2, 3], labels), np.array([4, 4, 4, 4]))
    assert slice_rows(slices)["Latin/"] == [0, 2]
    assert slice_rows(slices)["Greek/"] == [1]
    assert list(slices) == ["all", "seen", "Greek/", "Latin/"]


def test_one_folder_or_too_many_folders_are_no_slices():
    for folders in (1, 21):
        labels = [b"folder%d/x%d" % (row % folders, row) for row in range(42)]
        slices, _ = make_slices(make_split(np.zeros(42, int), labels), np.array([4]))
        assert list(slices) == ["all", "seen"]


def test_an_example_in_several_batches_is_counted_once(tmp_path):
    first, second = blobs(batches=2, seed=0, classes=3, each=4)
    write_split(tmp_path / "split", [first, second, first, first], num_shards=2)
    assert count_examples_per_class(tmp_path / "split").tolist() == [8, 8, 8]
