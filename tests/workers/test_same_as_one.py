"""Workers with batch B / N give the losses and weights of one with batch B."""

import numpy as np
import pytest
from shard_writer import write_blobs

from diptych.components.trainer.launch import train_anywhere
from diptych.schemas.config.model import Decoder, Model
from diptych.schemas.config.train import Augmentation, Train

CASES = {
    "sgd": (Model(embedding_size=4), {"optimizer": "sgd", "learning_rate": 0.1}),
    "adam": (Model(embedding_size=4), {"optimizer": "adam"}),
    "in-batch": (Model(embedding_size=4, loss="supervised_contrastive"), {}),
    "learned": (Model(embedding_size=4, loss="binary_cross_entropy"), {"ema": 0.9}),
    "drawn": (
        Model(embedding_size=4, decoder=Decoder(units=8, latent_size=2)),
        {"augmentation": Augmentation(noise=0.1)},
    ),
}


@pytest.fixture(scope="module")
def nine_batches(tmp_path_factory):
    """With four a step, the second of two workers has none in the last step."""
    return write_blobs(tmp_path_factory.mktemp("nine"), batches=9)


@pytest.mark.parametrize(
    ("case", "workers"),
    [("sgd", 2), ("adam", 1), ("adam", 2), ("in-batch", 2), ("learned", 2), ("drawn", 2)],
)
def test_workers_give_the_losses_and_weights_of_one_process(
    local_ray, nine_batches, tmp_path, case, workers
):
    model, changes = CASES[case]
    settings = Train(
        num_workers=0, epochs=4, patience=4, batches_per_step=4, clip_norm=0.1, **changes
    )
    alone_weights, alone = train_anywhere(nine_batches, model, settings, tmp_path / "alone")
    shared = settings.model_copy(update={"num_workers": workers, "cpus_per_worker": 1})
    weights, curves = train_anywhere(nine_batches, model, shared, tmp_path / "shared")
    for name in ("loss", "calibration_loss"):
        mine = [getattr(line, name) for line in curves]
        assert mine == pytest.approx([getattr(line, name) for line in alone], rel=1e-4)
    for mine, theirs in zip(weights, alone_weights, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
