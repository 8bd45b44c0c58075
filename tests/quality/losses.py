"""Train every loss on every data set and write a table of the accuracies.

The pipeline draws the pairs of a data set once. Each loss is trained on them for at most 15 epochs,
with all other settings from the configuration of the data set, and evaluated on the test split at
the threshold calibrated on the calibration split. Results are cached by settings, pairs and trainer
code.
"""

import argparse
import hashlib
import json
import sys
import time
from pathlib import Path
from typing import Any

from quality.datasets import DATA_SETS, REPOSITORY, DataSet
from quality.pipeline_runs import make_data, run_pipeline
from support.machine import describe_machine

from diptych.schemas.config.config import Config
from diptych.schemas.config.loading import load_config
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.files import atomic_write

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
# mnist_mild has the digits of mnist; characters is for one-shot metrics.
COLUMNS = [each for each in DATA_SETS if each.name not in ("mnist_mild", "characters")]
_EPOCHS = 15  # more would take over half an hour for the table


def main() -> None:
    """Train the losses without a cached result, then write and print the table."""
    parser = argparse.ArgumentParser(prog="make quality-table ARGS=", description=__doc__)
    parser.add_argument("--root", type=Path, default=REPOSITORY / "demo" / "quality-table")
    parser.add_argument("--only", nargs="+", choices=[each.name for each in COLUMNS], default=[])
    arguments = parser.parse_args()
    root, only = arguments.root.absolute(), arguments.only
    columns = {
        each.name: _compute_column(each, root) for each in COLUMNS if each.name in only or not only
    }
    if only:  # columns can be computed in parallel; the table needs all of them
        return
    table = format_loss_table(columns)
    before, _, rest = DOCS.read_text(encoding="utf-8").partition(START)
    _, _, after = rest.partition(END)
    with atomic_write(DOCS) as tmp_path:
        note = f"`make quality-table`, one run per cell, on {describe_machine()}:\n\n"
        tmp_path.write_text(f"{before}{START}{note}{table}{END}{after}", encoding="utf-8")
    print(table, end="")


def format_loss_table(columns: dict[str, dict[str, str]]) -> str:
    """Format a Markdown table.

    Args:
      columns: Cell text by data set and loss.
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


def _compute_column(data_set: DataSet, root: Path) -> dict[str, str]:
    """Compute the cells of a data set, by loss."""
    make_data(data_set)
    # Only the pairs are needed; one epoch is the minimum.
    run_pipeline(data_set, root / data_set.name, "train.epochs=1", "train.num_workers=0")
    pair_sets = (root / data_set.name / "artifacts" / "PairGen" / "pairs").iterdir()
    pairs = max(pair_sets, key=lambda path: int(path.name))
    config = load_config(data_set.config, (f"train.epochs={_EPOCHS}",))
    cells = {}
    for name, loss in LOSSES.items():
        model = ModelConfig.model_validate(
            config.model.model_dump(exclude={"loss", "distance"}) | {"loss": loss}
        )
        if model.needs_classes and config.data.kind == "pairs":
            cells[name] = NEEDS_CLASSES
            continue
        started = time.perf_counter()
        accuracy = _cached_accuracy(root, pairs, config, model)
        seconds = time.perf_counter() - started
        print(f"{data_set.name}, {name}: {accuracy:.2%}, {seconds:.0f} s", file=sys.stderr)
        cells[name] = f"{100 * accuracy:.2f} %"
    return cells


def _cached_accuracy(root: Path, pairs: Path, config: Config, model: ModelConfig) -> float:
    """Return the accuracy from the cache, or train and cache it."""
    settings = [str(pairs), model.model_dump_json(), config.train.model_dump_json()]
    code = [
        path.read_text(encoding="utf-8")
        for path in sorted((REPOSITORY / "components" / "trainer").rglob("*.py"))
    ]
    digest = hashlib.blake2b(json.dumps([settings, code]).encode(), digest_size=8).hexdigest()
    file = root / "cells" / f"{digest}.json"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        accuracy = _train_and_evaluate(pairs, config, model)
        text = json.dumps({"settings": settings, "accuracy": accuracy})
        with atomic_write(file) as tmp_path:
            tmp_path.write_text(text + "\n", encoding="utf-8")
    return float(json.loads(file.read_text(encoding="utf-8"))["accuracy"])


def _train_and_evaluate(pairs: Path, config: Config, model: ModelConfig) -> float:
    """Train, and return the accuracy on the test pairs at the calibrated threshold."""
    from diptych.components.trainer.learner import DistributedContext
    from diptych.components.trainer.loop import train
    from diptych.components.trainer.network import build_network
    from diptych.components.trainer.pair_evaluator import PairEvaluator
    from diptych.schemas.shards import SplitManifest

    weights, _ = train(pairs, model, config.train, DistributedContext(), lambda epoch: None)
    network = build_network(model, SplitManifest.read(pairs / "Split-train").input)
    network.set_weights(weights)
    threshold = PairEvaluator(pairs / "Split-calibration").threshold(network)
    return PairEvaluator(pairs / "Split-test").accuracy(network, threshold)


if __name__ == "__main__":
    main()
