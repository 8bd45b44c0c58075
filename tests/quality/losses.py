"""Trains every loss on every data set, and writes the table of their accuracies.

The pipeline draws the pairs of a data set once. Each loss is trained on them for at most 15 epochs,
with all other settings as in the data set's configuration, and judged on the test split at the
threshold that it is given by the calibration split. What is done already is not done again, as long
as the settings, the pairs and the trainer's code are the same.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from quality.datasets import DATA_SETS, REPOSITORY, DataSet
from quality.runs import make_data, run_pipeline
from support.machine import machine

from diptych.schemas.config.config import Config
from diptych.schemas.config.loading import load_config
from diptych.schemas.config.model import Model
from diptych.schemas.files import whole_file

DOCS = REPOSITORY / "docs" / "quality.md"
START, END = "<!-- table of losses -->\n", "<!-- end of the table of losses -->\n"
LOSSES: dict[str, dict[str, Any]] = {
    "contrastive": {"name": "contrastive"},
    "triplet, given": {"name": "triplet", "mining": "given"},
    "triplet, all": {"name": "triplet", "mining": "all"},
    "triplet, hard": {"name": "triplet", "mining": "hard"},
    "triplet, semi_hard": {"name": "triplet", "mining": "semi_hard"},
    "cosine_embedding": {"name": "cosine_embedding"},
    "circle": {"name": "circle"},
    "multi_similarity": {"name": "multi_similarity"},
    "supervised_contrastive": {"name": "supervised_contrastive"},
    "binary_cross_entropy": {"name": "binary_cross_entropy"},
}
NEEDS_CLASSES = "-"
# Without the digits of mnist once more, and what one-shot figures are for.
COLUMNS = [one for one in DATA_SETS if one.name not in ("mnist_mild", "characters")]
_EPOCHS = 15  # of each, or the table would take more than half an hour


def main() -> None:
    """Trains what is missing; writes the table where there is something new, and prints it."""
    parser = argparse.ArgumentParser(prog="make quality-table ARGS=", description=__doc__)
    parser.add_argument("--root", type=Path, default=REPOSITORY / "demo" / "quality-table")
    parser.add_argument("--only", nargs="+", choices=[one.name for one in COLUMNS], default=[])
    arguments = parser.parse_args()
    root, only = arguments.root.absolute(), arguments.only
    columns = {one.name: _column(one, root) for one in COLUMNS if one.name in only or not only}
    if only:  # to fill columns side by side; the table is written when all are there
        return
    table = as_markdown(columns)
    before, _, rest = DOCS.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    with whole_file(DOCS) as beside:
        note = f"`make quality-table`, one run each, on {machine()}:\n\n"
        beside.write_text(f"{before}{START}{note}{table}{END}{after}", encoding="utf-8")
    print(table, end="")


def as_markdown(columns: dict[str, dict[str, str]]) -> str:
    """The table.

    Args:
      columns: for each data set the cell of each loss.
    """
    lines = [
        f"| loss | {' | '.join(columns)} |",
        f"| --- | {' | '.join('---:' for _ in columns)} |",
        *(
            f"| {loss} | {' | '.join(cells[loss] for cells in columns.values())} |"
            for loss in LOSSES
        ),
    ]
    return "\n".join(lines) + "\n"


def _column(data_set: DataSet, root: Path) -> dict[str, str]:
    """Accuracies on a data set, in words."""
    make_data(data_set)
    # The pairs are all that is wanted here; the one epoch is what comes with them.
    run_pipeline(data_set, root / data_set.name, "train.epochs=1", "train.num_workers=0")
    pair_sets = (root / data_set.name / "artifacts" / "PairGen" / "pairs").iterdir()
    pairs = max(pair_sets, key=lambda path: int(path.name))
    config = load_config(data_set.config, (f"train.epochs={_EPOCHS}",))
    cells = {}
    for name, loss in LOSSES.items():
        model = Model.model_validate(
            config.model.model_dump(exclude={"loss", "distance"}) | {"loss": loss}
        )
        if model.needs_classes and config.data.kind == "pairs":
            cells[name] = NEEDS_CLASSES
            continue
        started = time.perf_counter()
        accuracy = _kept(root, pairs, config, model)
        seconds = time.perf_counter() - started
        print(f"{data_set.name}, {name}: {accuracy:.2%}, {seconds:.0f} s", file=sys.stderr)
        cells[name] = f"{100 * accuracy:.2f} %"
    return cells


def _kept(root: Path, pairs: Path, config: Config, model: Model) -> float:
    """The accuracy, from the file that keeps it if it has been found before."""
    settings = [str(pairs), model.model_dump_json(), config.train.model_dump_json()]
    code = [
        path.read_text(encoding="utf-8")
        for path in sorted((REPOSITORY / "components" / "trainer").rglob("*.py"))
    ]
    digest = hashlib.blake2b(json.dumps([settings, code]).encode(), digest_size=8).hexdigest()
    file = root / "cells" / f"{digest}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        found = json.dumps({"settings": settings, "accuracy": _accuracy(pairs, config, model)})
        with whole_file(file) as beside:
            beside.write_text(found + "\n", encoding="utf-8")
    return float(json.loads(file.read_text(encoding="utf-8"))["accuracy"])


def _accuracy(pairs: Path, config: Config, model: Model) -> float:
    """Trains; returns the share of the test pairs told right at the calibrated threshold."""
    from diptych.components.trainer.learner import Place
    from diptych.components.trainer.loop import train
    from diptych.components.trainer.network import build_network
    from diptych.components.trainer.pair_evaluator import JudgedPairs
    from diptych.schemas.shards import Manifest

    weights, _ = train(pairs, model, config.train, Place(), lambda epoch: None)
    network = build_network(model, Manifest.read(pairs / "Split-train").input)
    network.set_weights(weights)
    threshold = JudgedPairs(pairs / "Split-calibration").threshold(network)
    return JudgedPairs(pairs / "Split-test").accuracy(network, threshold)


if __name__ == "__main__":
    main()
