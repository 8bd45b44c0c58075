"""Failures on Ray: which end the training, and what a person needs to know of them."""

import textwrap

from diptych.schemas.config.train import Train
from diptych.schemas.errors import DiptychError


def raised_by_worker(error: BaseException) -> DiptychError | None:
    """What the code of a worker raised on purpose, which another attempt would raise again.

    None if a worker was lost: killed, out of reach, or cut off in the middle of an exchange.
    """
    failures = getattr(error, "worker_failures", {}).values()
    return next((failure for failure in failures if isinstance(failure, DiptychError)), None)


def in_a_line(error: BaseException) -> str:
    """Ray's word for what happened: of the worker that died, if one did."""
    failures = getattr(error, "worker_failures", {}).items()
    # Of the others, one hears that they cannot reach it.
    died = [(rank, it) for rank, it in failures if hasattr(it, "health_check_failure")]
    rank, failure = next(iter([*died, *failures]), (None, error))
    lines = [line for line in str(failure).splitlines() if line.strip()] or [repr(failure)]
    # The last line says what happened; of Ray's memory monitor, it says what to read.
    told = next((line for line in lines if "low on memory" in line), lines[-1])
    told = told.partition(" Some common causes")[0]  # guesses of the same
    return textwrap.shorten(told if rank is None else f"worker {rank}: {told}", 400)


def given_up(lost: int, reason: str, reached: str, settings: Train) -> str:
    """The message when workers were lost too often."""
    times = "once" if lost == 1 else f"{lost} times"
    return (
        f"A training worker was lost {times}, with train.max_failures={settings.max_failures}; at "
        f"last: {reason} The next run goes on from {reached}. If memory ran out, the kernel or Ray "
        "kills a worker without a word: lower train.batches_per_step "
        f"({settings.batches_per_step}), pairs.classes_per_batch or pairs.examples_per_class, or "
        "have fewer workers on a machine (train.cpus_per_worker). If its machines come and go, "
        "raise train.max_failures and set train.checkpoint_steps."
    )
