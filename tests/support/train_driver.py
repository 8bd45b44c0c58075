"""Train in a process that a test can kill, and write the weights and curves.

Arguments: folders of the pairs and of the checkpoints; model and settings as JSON.
"""

import json
import logging
import sys
from pathlib import Path

import numpy as np

from diptych.components.trainer.launch import run_training
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import DiptychError

if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    logging.getLogger("diptych.progress").setLevel(logging.INFO)
    pairs, checkpoints, model, settings = sys.argv[1:]
    try:
        weights, curves = run_training(
            Path(pairs),
            ModelConfig.model_validate_json(model),
            TrainConfig.model_validate_json(settings),
            Path(checkpoints),
        )
    except DiptychError as error:
        sys.exit(f"{type(error).__name__}: {error}")
    except KeyboardInterrupt:
        sys.exit("Interrupted")
    np.savez(f"{checkpoints}.npz", *weights)
    Path(f"{checkpoints}.json").write_text(json.dumps([metrics.model_dump() for metrics in curves]))
