"""Training that is interrupted in this process, and resumed by the next call."""

import logging

import numpy as np
import pytest
from shard_writer import write_blobs

from diptych.components.trainer.checkpoints import load_progress
from diptych.components.trainer.launch import run_training
from diptych.components.trainer.learner import Learner
from diptych.components.trainer.pair_evaluator import CalibrationEvaluator
from diptych.schemas.config.model import DecoderConfig, ModelConfig
from diptych.schemas.config.train import AugmentationConfig, TrainConfig

STEPS, EPOCHS = 5, 3
# Everything that has a state or uses noise, so that the test fails if any is not restored.
MODEL = ModelConfig(embedding_size=4, decoder=DecoderConfig(units=8, latent_size=2))
SETTINGS = TrainConfig(
    num_workers=0,
    epochs=EPOCHS,
    patience=EPOCHS,
    batches_per_step=2,
    checkpoint_steps=2,
    optimizer="adam",
    clip_norm=1.0,
    ema=0.9,
    warmup_epochs=1,
    augmentation=AugmentationConfig(noise=0.1),
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_blobs(tmp_path_factory.mktemp("pairs"), batches=2 * STEPS)


@pytest.fixture(scope="module")
def uninterrupted(pairs, tmp_path_factory):
    return run_training(pairs, MODEL, SETTINGS, tmp_path_factory.mktemp("checkpoints"))


@pytest.fixture
def count_steps(monkeypatch):
    """A function that starts to count trained steps, and interrupts after a number of them."""
    step, trained_batches = Learner.step, []

    def start(interrupt_after=None):
        def counted_step(learner, batch):
            if len(trained_batches) == interrupt_after:
                raise KeyboardInterrupt
            trained_batches.append(batch)
            return step(learner, batch)

        trained_batches.clear()
        monkeypatch.setattr(Learner, "step", counted_step)
        return trained_batches

    return start


@pytest.mark.parametrize(
    ("steps_trained", "steps_saved"),
    [(1, None), (STEPS, STEPS), (STEPS + 3, STEPS + 2)],
)
def test_a_resumed_training_ends_like_an_uninterrupted_one(
    uninterrupted, pairs, tmp_path, count_steps, caplog, steps_trained, steps_saved
):
    count_steps(steps_trained)
    with pytest.raises(KeyboardInterrupt):
        run_training(pairs, MODEL, SETTINGS, tmp_path)
    progress = load_progress(tmp_path)
    if steps_saved is None:
        assert progress is None
    else:
        assert STEPS * progress["epoch"] + len(progress["losses"]) == steps_saved

    trained_batches = count_steps()
    caplog.set_level(logging.INFO, "diptych.progress")
    weights, curves = run_training(pairs, MODEL, SETTINGS, tmp_path)
    assert len(trained_batches) == STEPS * EPOCHS - (steps_saved or 0)
    if steps_saved is not None:
        epoch, step = divmod(steps_saved, STEPS)
        position = f"epoch {epoch + 1}, step {step + 1}"
        assert f"resuming from {position} of an interrupted run" in caplog.text
    assert not tmp_path.exists()

    expected_weights, expected_curves = uninterrupted
    # TensorFlow uses several threads, so the results of a step are not bitwise reproducible.
    for value, expected in zip(weights, expected_weights, strict=True):
        np.testing.assert_allclose(value, expected, atol=1e-5)
    for name in ("epoch", "loss", "accuracy", "calibration_loss", "calibration_accuracy"):
        values = [getattr(metrics, name) for metrics in curves]
        expected = [getattr(metrics, name) for metrics in expected_curves]
        assert values == pytest.approx(expected, rel=1e-4)


def test_the_best_epoch_before_an_interruption_is_kept(pairs, tmp_path, count_steps, monkeypatch):
    evaluated_weights = []

    def increasing_loss(_, network):
        evaluated_weights.append(network.get_weights())
        return float(len(evaluated_weights)), 0.3, 0.5

    monkeypatch.setattr(CalibrationEvaluator, "evaluate", increasing_loss)
    model = ModelConfig(embedding_size=4)
    settings = SETTINGS.model_copy(update={"epochs": 9, "patience": 2})
    count_steps(2 * STEPS + 1)
    with pytest.raises(KeyboardInterrupt):
        run_training(pairs, model, settings, tmp_path)
    count_steps()
    weights, curves = run_training(pairs, model, settings, tmp_path)
    assert [metrics.calibration_loss for metrics in curves] == [1, 2, 3]
    for value, best in zip(weights, evaluated_weights[0], strict=True):
        np.testing.assert_array_equal(value, best)
