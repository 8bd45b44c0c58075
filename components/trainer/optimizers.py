"""Optimizers with learning rate schedule, gradient clipping, weight averaging and loss scaling."""

import math

import keras

from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import ConfigError

_FINAL_LEARNING_RATE = 0.02  # of a cosine schedule, relative to the peak
# Base class, and wrappers around other optimizers.
_EXCLUDED_OPTIMIZERS = {"optimizer", "lossscaleoptimizer", "multioptimizer"}


def make_optimizer(settings: TrainConfig, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """Create the configured optimizer; it is not built yet.

    Its input are the gradients of the complete step, summed over all workers and divided by the
    number of terms. ``clip_norm`` therefore bounds their global norm, g min(1, clip_norm / ||g||),
    and every worker applies the same update. Pascanu, Mikolov & Bengio, "On the difficulty of
    training recurrent neural networks", ICML 2013, algorithm 1.

    With ``ema`` it also keeps a moving average of the weights; ``finalize_variable_values``
    overwrites the weights with it. Under mixed_float16 it is a ``LossScaleOptimizer``:
    differentiate ``scale_loss(loss)``. It unscales the gradients before it clips them, and skips a
    step whose gradients are not finite.

    Args:
      settings: Section ``train``.
      steps_per_epoch: Number of steps, the same on every worker.

    Raises:
      ConfigError: If Keras has no optimizer of this name.
    """
    optimizers = available_optimizers()
    if settings.optimizer not in optimizers:
        raise ConfigError(
            f"train.optimizer must be the name of a Keras optimizer, got {settings.optimizer}. "
            f"Choose one of {', '.join(optimizers)}."
        )
    optimizer = optimizers[settings.optimizer](
        learning_rate=make_learning_rate_schedule(settings, steps_per_epoch),
        global_clipnorm=settings.clip_norm,
        use_ema=settings.ema is not None,
        ema_momentum=settings.ema or 0.0,
    )
    if settings.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def make_learning_rate_schedule(
    settings: TrainConfig, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """Create the learning rate as a function of the step.

    A linear warm-up from 0; then constant, or half a cosine down to 0.02 of the peak at the end of
    the last epoch. Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts",
    ICLR 2017, eq. 5, without restarts.
    """
    peak = settings.learning_rate
    num_steps = settings.epochs * steps_per_epoch
    warmup_steps = math.floor(settings.warmup_epochs * steps_per_epoch)  # below num_steps
    if settings.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup_steps else peak,
            num_steps - warmup_steps,
            alpha=_FINAL_LEARNING_RATE,
            warmup_target=peak if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    if warmup_steps:
        # A linear "decay" upwards from 0 to the peak, which stays constant after its last step.
        return keras.optimizers.schedules.PolynomialDecay(0.0, warmup_steps, peak)
    return peak


def available_optimizers() -> dict[str, type[keras.optimizers.Optimizer]]:
    """Return the Keras optimizers that do not wrap another one, by lower-case name."""
    optimizers = {
        name.lower(): value
        for name, value in vars(keras.optimizers).items()
        if isinstance(value, type) and issubclass(value, keras.optimizers.Optimizer)
    }
    return {name: optimizers[name] for name in sorted(optimizers.keys() - _EXCLUDED_OPTIMIZERS)}
