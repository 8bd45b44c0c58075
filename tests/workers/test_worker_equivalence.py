"""N workers with batch size B / N compute the same losses and weights as one with B."""

import numpy as np
import pytest
from shard_writer import write_blobs

from diptych.components.trainer.launch import run_training
from diptych.schemas.config.model import DecoderConfig, ModelConfig
from diptych.schemas.config.train import AugmentationConfig, TrainConfig

CASES = {
    "sgd": (ModelConfig(embedding_size=4), {"optimizer": "sgd", "learning_rate": 0.1}),
    "adam": (ModelConfig(embedding_size=4), {"optimizer": "adam"}),
    "in-batch": (ModelConfig(embedding_size=4, loss="supervised_contrastive"), {}),
    "learned": (ModelConfig(embedding_size=4, loss="binary_cross_entropy"), {"ema": 0.9}),
    "noise": (
        ModelConfig(embedding_size=4, decoder=DecoderConfig(units=8, latent_size=2)),
        {"augmentation": AugmentationConfig(noise=0.1)},
    ),
}


@pytest.fixture(scope="module")
def nine_batches(tmp_path_factory):
    """Nine batches: with four per step, the second of two workers has none in the last step."""
    return write_blobs(tmp_path_factory.mktemp("nine"), batches=9)


@pytest.mark.parametrize(
    ("case", "num_workers"),
    [("sgd", 2), ("adam", 1), ("adam", 2), ("in-batch", 2), ("learned", 2), ("noise", 2)],
)
def test_workers_compute_the_losses_and_weights_of_one_process(
    local_ray, nine_batches, tmp_path, case, num_workers
):
    model, changes = CASES[case]
    settings = TrainConfig(
        num_workers=0, epochs=4, patience=4, batches_per_step=4, clip_norm=0.1, **changes
    )
    expected_weights, expected_curves = run_training(
        nine_batches, model, settings, tmp_path / "in-process"
    )
    on_ray = settings.model_copy(update={"num_workers": num_workers, "cpus_per_worker": 1})
    weights, curves = run_training(nine_batches, model, on_ray, tmp_path / "on-ray")
    for name in ("loss", "calibration_loss"):
        values = [getattr(metrics, name) for metrics in curves]
        expected = [getattr(metrics, name) for metrics in expected_curves]
        assert values == pytest.approx(expected, rel=1e-4)
    for value, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)
