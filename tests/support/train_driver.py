"""Trains and prints the curves, as a process that a test can kill.

Arguments: folders of the pairs and of the training, model and settings as JSON.
"""

import dataclasses
import json
import logging
import sys
from pathlib import Path

import numpy as np

from diptych.components.trainer.launch import train_anywhere
from diptych.schemas.config.model import Model
from diptych.schemas.config.train import Train
from diptych.schemas.errors import DiptychError

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("diptych.progress").setLevel(logging.INFO)
    pairs, storage, model, settings = sys.argv[1:]
    try:
        weights, curves = train_anywhere(
            Path(pairs),
            Model.model_validate_json(model),
            Train.model_validate_json(settings),
            Path(storage),
        )
    except DiptychError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted")
    np.savez(f"{storage}.npz", *weights)
    Path(f"{storage}.json").write_text(json.dumps([dataclasses.asdict(line) for line in curves]))
