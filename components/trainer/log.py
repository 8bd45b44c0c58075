"""Learning curves, as JSON and as TensorBoard events."""

import json
from pathlib import Path
from typing import Any


def write_log(folder: Path, curves: list[dict[str, Any]]) -> dict[str, Any]:
    """Writes ``curves.json`` and ``tensorboard/``; returns the epoch whose weights were kept."""
    import tensorflow as tf

    folder.mkdir(parents=True, exist_ok=True)
    best = min(curves, key=lambda line: line["calibration_loss"])
    text = json.dumps({"best_epoch": best["epoch"], "epochs": curves}, indent=2)
    (folder / "curves.json").write_text(text + "\n", encoding="utf-8")
    writer = tf.summary.create_file_writer(str(folder / "tensorboard"))
    with writer.as_default():
        for line in curves:
            for name, value in line.items():
                if name != "epoch":
                    tf.summary.scalar(name, value, step=line["epoch"])
    writer.close()
    return best
