"""Parts of the test split that figures are given of, apart from the whole."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from diptych.schemas.shards import ID_BYTES, Manifest, SplitPairs, fixed_binary_to_numpy, shard_name

Mask = npt.NDArray[np.bool_]
_FOLDERS = range(2, 21)  # so many are groups of classes; more are classes


def slices_of(
    pairs: SplitPairs, train_sizes: npt.NDArray[np.int64]
) -> tuple[dict[str, Mask], tuple[str, ...]]:
    """Slices by name, as masks (n,) of the examples, and notes on what they hold.

    ``all`` comes first, then those that hold an example of:

    - ``seen`` and ``unseen``: examples whose class was, or was not, in the training split.
    - ``rare`` and ``common``: of the seen classes, the third with the fewest and that with the most
      training examples, where they differ.
    - ``Latin/``: of nested labels such as ``Latin/character01``, a slice for each first folder,
      where there are 2 to 20 of them.

    Args:
      pairs: of the test split, of labelled examples.
      train_sizes: training examples of each class by its number, as ``class_sizes`` counts them.
    """
    seen = pairs.classes >= 0
    slices = {"all": np.ones(len(seen), bool), "seen": seen, "unseen": ~seen}
    by_size, notes = _by_size(pairs.classes, train_sizes)
    slices |= by_size | _by_folder(pairs.labels)
    return {name: mask for name, mask in slices.items() if mask.any()}, notes


def class_sizes(folder: Path) -> npt.NDArray[np.int64]:
    """Distinct examples of each class that are placed in a split, by the number of the class.

    Memory: ids and classes of all rows that are placed.
    """
    manifest = Manifest.read(folder)
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


def _by_size(
    classes: npt.NDArray[np.int64], train_sizes: npt.NDArray[np.int64]
) -> tuple[dict[str, Mask], tuple[str, ...]]:
    seen = classes >= 0
    if not seen.any():
        return {}, ()
    sizes = train_sizes[train_sizes > 0]
    few, many = (
        np.quantile(sizes, 1 / 3, method="lower"),
        np.quantile(sizes, 2 / 3, method="higher"),
    )
    if few == many:
        return {}, ()
    none = np.zeros(max(0, classes.max() + 1 - len(train_sizes)), np.int64)
    size = np.append(train_sizes, none)[classes]  # of the unseen, numbered -1, any
    note = (
        f"A class is rare with at most {few} examples in the training split, and common with "
        f"{many} or more."
    )
    return {"rare": seen & (size <= few), "common": seen & (size >= many)}, (note,)


def _by_folder(labels: npt.NDArray[np.object_]) -> dict[str, Mask]:
    names, number = np.unique(labels, return_inverse=True)
    folders = np.array([name.partition(b"/")[0] if b"/" in name else b"" for name in names], object)
    kinds, kind = np.unique(folders, return_inverse=True)
    if len(kinds) not in _FOLDERS:
        return {}
    mine = kind[number]
    return {
        f"{folder.decode('utf-8', 'replace')}/": mine == row
        for row, folder in enumerate(kinds)
        if folder
    }
