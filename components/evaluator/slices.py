"""Slices of the test split that are evaluated separately."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.schemas.shards import (
    ID_BYTES,
    SplitManifest,
    SplitPairs,
    fixed_binary_to_numpy,
    shard_name,
)

ExampleMask = npt.NDArray[np.bool_]
_NUM_FOLDERS = range(2, 21)  # this many are groups of classes; more are treated as classes


def make_slices(
    pairs: SplitPairs, train_sizes: npt.NDArray[np.int64]
) -> tuple[dict[str, ExampleMask], tuple[str, ...]]:
    """Divide the test split into slices.

    ``all`` comes first, followed by the non-empty slices among:

    - ``seen`` and ``unseen``: examples whose class is, or is not, in the training split.
    - ``rare`` and ``common``: the third of the seen classes with the fewest and with the most
      training examples, if these numbers differ.
    - ``Latin/``: for nested labels such as ``Latin/character01``, one slice per top-level folder,
      if there are 2 to 20 folders.

    Args:
      pairs: Test pairs of labelled examples.
      train_sizes: Training examples per class index, see ``count_examples_per_class``.

    Returns:
      (n,) masks of the examples by slice name, and notes that describe the slices.
    """
    seen = pairs.classes >= 0
    slices = {"all": np.ones(len(seen), bool), "seen": seen, "unseen": ~seen}
    size_slices, notes = _slice_by_class_size(pairs.classes, train_sizes)
    slices |= size_slices | _slice_by_label_folder(pairs.labels)
    return {name: mask for name, mask in slices.items() if mask.any()}, notes


def count_examples_per_class(folder: Path) -> npt.NDArray[np.int64]:
    """Count the distinct examples of each class in a split, by class index.

    Memory: ids and classes of all rows of the split.
    """
    manifest = SplitManifest.read(folder)
    ids, classes = [], []
    for shard in range(manifest.num_shards):
        name = folder / shard_name("examples", shard, manifest.num_shards)
        with pa.memory_map(str(name)) as source:
            table = pa.ipc.open_file(source).read_all()
            ids.append(fixed_binary_to_numpy(table["id"].combine_chunks(), ID_BYTES).copy())
            classes.append(table["class"].to_numpy().copy())
    keys = np.concatenate(ids).view(f"V{ID_BYTES}").ravel()
    _, first = np.unique(keys, return_index=True)
    return np.bincount(np.concatenate(classes)[first])


def _slice_by_class_size(
    classes: npt.NDArray[np.int64], train_sizes: npt.NDArray[np.int64]
) -> tuple[dict[str, ExampleMask], tuple[str, ...]]:
    seen = classes >= 0
    if not seen.any():
        return {}, ()
    sizes = train_sizes[train_sizes > 0]
    few = np.quantile(sizes, 1 / 3, method="lower")
    many = np.quantile(sizes, 2 / 3, method="higher")
    if few == many:
        return {}, ()
    padding = np.zeros(max(0, classes.max() + 1 - len(train_sizes)), np.int64)
    size = np.append(train_sizes, padding)[classes]  # unseen classes, index -1, get any value
    note = (
        f"Rare classes have at most {few} training examples, common classes have at least {many}."
    )
    return {"rare": seen & (size <= few), "common": seen & (size >= many)}, (note,)


def _slice_by_label_folder(labels: npt.NDArray[np.object_]) -> dict[str, ExampleMask]:
    names, label_index = np.unique(labels, return_inverse=True)
    folder_of_label = np.array(
        [name.partition(b"/")[0] if b"/" in name else b"" for name in names], object
    )
    folders, folder_index = np.unique(folder_of_label, return_inverse=True)
    if len(folders) not in _NUM_FOLDERS:
        return {}
    example_folder = folder_index[label_index]
    return {
        f"{folder.decode('utf-8', 'replace')}/": example_folder == index
        for index, folder in enumerate(folders)
        if folder
    }
