"""The optimiser: its learning rate over the training, clipping, averaged weights, precision."""

import math

import keras

from diptych.schemas.config.train import Train
from diptych.schemas.errors import ConfigError

_LAST_LEARNING_RATE = 0.02  # of the highest, at the end of the cosine
# Made of other optimisers, or of none.
_NOT_BY_NAME = {"optimizer", "lossscaleoptimizer", "multioptimizer"}


def make_optimizer(settings: Train, steps_per_epoch: int) -> keras.optimizers.Optimizer:
    """The optimiser that the configuration asks for; it is not built yet.

    It is given the gradients of the whole step: summed over all workers and divided. So
    ``clip_norm`` bounds the norm of all of them together, g min(1, clip_norm / ||g||), and every
    worker takes the same step. Pascanu, Mikolov & Bengio, "On the difficulty of training
    recurrent neural networks", ICML 2013, algorithm 1.

    With ``ema`` it keeps averages of the weights as well; ``finalize_variable_values`` puts them
    in the place of the weights. Under mixed_float16 it is a ``LossScaleOptimizer``: differentiate
    ``scale_loss(loss)``. It unscales the gradients before it clips them, and skips a step whose
    gradients are not finite.

    Args:
      settings: of the section ``train``.
      steps_per_epoch: the same number on every worker.

    Raises:
      ConfigError: Keras has no optimiser of this name.
    """
    optimizers = optimizers_by_name()
    if settings.optimizer not in optimizers:
        raise ConfigError(
            f"train.optimizer needs the name of a Keras optimizer, got {settings.optimizer}. "
            f"Choose one of {', '.join(optimizers)}."
        )
    optimizer = optimizers[settings.optimizer](
        learning_rate=make_schedule(settings, steps_per_epoch),
        global_clipnorm=settings.clip_norm,
        use_ema=settings.ema is not None,
        ema_momentum=settings.ema or 0.0,
    )
    if settings.precision == "mixed_float16":
        return keras.optimizers.LossScaleOptimizer(optimizer)
    return optimizer


def make_schedule(
    settings: Train, steps_per_epoch: int
) -> float | keras.optimizers.schedules.LearningRateSchedule:
    """The learning rate by the number of the step.

    A straight line from 0 over the warm-up; then constant, or half a cosine down to 0.02 of the
    highest at the end of the last epoch. Loshchilov & Hutter, "SGDR: Stochastic Gradient Descent
    with Warm Restarts", ICLR 2017, eq. 5, without restarts.
    """
    highest = settings.learning_rate
    steps = settings.epochs * steps_per_epoch
    warmup_steps = math.floor(settings.warmup_epochs * steps_per_epoch)  # below ``steps``
    if settings.schedule == "cosine":
        return keras.optimizers.schedules.CosineDecay(
            0.0 if warmup_steps else highest,
            steps - warmup_steps,
            alpha=_LAST_LEARNING_RATE,
            warmup_target=highest if warmup_steps else None,
            warmup_steps=warmup_steps,
        )
    if warmup_steps:
        # It ends where a straight line upwards ends, and stays there.
        return keras.optimizers.schedules.PolynomialDecay(0.0, warmup_steps, highest)
    return highest


def optimizers_by_name() -> dict[str, type[keras.optimizers.Optimizer]]:
    """Those of Keras that need no other one, by their names in lower case."""
    every = {
        name.lower(): value
        for name, value in vars(keras.optimizers).items()
        if isinstance(value, type) and issubclass(value, keras.optimizers.Optimizer)
    }
    return {name: every[name] for name in sorted(every.keys() - _NOT_BY_NAME)}
