"""Classification of failures on Ray, and the messages for them."""

import textwrap

from diptych.schemas.config.train import TrainConfig
from diptych.schemas.errors import DiptychError


def find_worker_error(error: BaseException) -> DiptychError | None:
    """Return the DiptychError that a worker raised, which a retry would raise again.

    None if a worker was lost: killed, unreachable, or interrupted during an all-reduce.
    """
    failures = getattr(error, "worker_failures", {}).values()
    return next((failure for failure in failures if isinstance(failure, DiptychError)), None)


def summarize_failure(error: BaseException) -> str:
    """Summarize Ray's error in one line, preferring the worker that died."""
    failures = getattr(error, "worker_failures", {}).items()
    # The other workers only report that they cannot reach it.
    died = [
        (rank, failure) for rank, failure in failures if hasattr(failure, "health_check_failure")
    ]
    rank, failure = next(iter([*died, *failures]), (None, error))
    lines = [line for line in str(failure).splitlines() if line.strip()] or [repr(failure)]
    # The last line describes the failure; Ray's memory monitor ends with a link instead.
    summary = next((line for line in lines if "low on memory" in line), lines[-1])
    summary = summary.partition(" Some common causes")[0]  # a list of guesses
    return textwrap.shorten(summary if rank is None else f"worker {rank}: {summary}", 400)


def failure_limit_message(
    num_failures: int, reason: str, resume_position: str, settings: TrainConfig
) -> str:
    """Describe why training gave up after losing workers too often."""
    times = "once" if num_failures == 1 else f"{num_failures} times"
    return (
        f"A training worker was lost {times}, with train.max_failures={settings.max_failures}. "
        f"Last failure: {reason} The next run resumes from {resume_position}. If memory ran out, "
        "the kernel or Ray may kill a worker without a message: lower train.batches_per_step "
        f"({settings.batches_per_step}), pairs.classes_per_batch or pairs.examples_per_class, or "
        "run fewer workers per machine (train.cpus_per_worker). If machines are preempted, raise "
        "train.max_failures and set train.checkpoint_steps."
    )
