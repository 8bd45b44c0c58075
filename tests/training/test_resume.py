"""Training that is cut off in this process, and goes on in the next call."""

import logging

import numpy as np
import pytest
from shard_writer import write_blobs

from diptych.components.trainer.checkpoints import read_progress
from diptych.components.trainer.launch import train_anywhere
from diptych.components.trainer.learner import Learner
from diptych.components.trainer.pair_evaluator import CalibrationSet
from diptych.schemas.config.model import Decoder, Model
from diptych.schemas.config.train import Augmentation, Train

STEPS, EPOCHS = 5, 3
# Of all that has a state or draws something, so that each shows if it is not restored.
MODEL = Model(embedding_size=4, decoder=Decoder(units=8, latent_size=2))
SETTINGS = Train(
    num_workers=0,
    epochs=EPOCHS,
    patience=EPOCHS,
    batches_per_step=2,
    checkpoint_steps=2,
    optimizer="adam",
    clip_norm=1.0,
    ema=0.9,
    warmup_epochs=1,
    augmentation=Augmentation(noise=0.1),
)


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    return write_blobs(tmp_path_factory.mktemp("pairs"), batches=2 * STEPS)


@pytest.fixture(scope="module")
def undisturbed(pairs, tmp_path_factory):
    return train_anywhere(pairs, MODEL, SETTINGS, tmp_path_factory.mktemp("storage"))


@pytest.fixture
def steps_until(monkeypatch):
    """Counts the steps that are trained; the one after a number of them is interrupted."""
    step, trained = Learner.step, []

    def count(end=None):
        def counted(learner, batch):
            if len(trained) == end:
                raise KeyboardInterrupt
            trained.append(batch)
            return step(learner, batch)

        trained.clear()
        monkeypatch.setattr(Learner, "step", counted)
        return trained

    return count


@pytest.mark.parametrize(
    ("done", "kept"),  # steps
    [(1, None), (STEPS, STEPS), (STEPS + 3, STEPS + 2)],
)
def test_it_goes_on_from_the_last_checkpoint_to_the_same_end(
    undisturbed, pairs, tmp_path, steps_until, caplog, done, kept
):
    steps_until(done)
    with pytest.raises(KeyboardInterrupt):
        train_anywhere(pairs, MODEL, SETTINGS, tmp_path)
    progress = read_progress(tmp_path)
    if kept is None:
        assert progress is None
    else:
        assert STEPS * progress["epoch"] + len(progress["losses"]) == kept

    trained = steps_until()
    caplog.set_level(logging.INFO, "diptych.progress")
    weights, curves = train_anywhere(pairs, MODEL, SETTINGS, tmp_path)
    assert len(trained) == STEPS * EPOCHS - (kept or 0)
    if kept is not None:
        epoch, step = divmod(kept, STEPS)
        assert f"going on from epoch {epoch + 1}, step {step + 1} of a run" in caplog.text
    assert not tmp_path.exists()

    straight_weights, straight = undisturbed
    # On one thread, a step has one result; but TensorFlow takes several.
    for mine, theirs in zip(weights, straight_weights, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e-5)
    for name in ("epoch", "loss", "accuracy", "calibration_loss", "calibration_accuracy"):
        ends = [getattr(line, name) for line in curves]
        assert ends == pytest.approx([getattr(line, name) for line in straight], rel=1e-4)


def test_the_best_epoch_before_the_cut_is_not_forgotten(pairs, tmp_path, steps_until, monkeypatch):
    judged = []

    def worse_each_time(_, network):
        judged.append(network.get_weights())
        return float(len(judged)), 0.3, 0.5

    monkeypatch.setattr(CalibrationSet, "judge", worse_each_time)
    plain = Model(embedding_size=4)
    impatient = SETTINGS.model_copy(update={"epochs": 9, "patience": 2})
    steps_until(2 * STEPS + 1)
    with pytest.raises(KeyboardInterrupt):
        train_anywhere(pairs, plain, impatient, tmp_path)
    steps_until()
    weights, curves = train_anywhere(pairs, plain, impatient, tmp_path)
    assert [line.calibration_loss for line in curves] == [1, 2, 3]
    for mine, best in zip(weights, judged[0], strict=True):
        np.testing.assert_array_equal(mine, best)
