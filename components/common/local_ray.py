"""A local Ray cluster that ends with the process that started it."""

import logging
import time
from collections.abc import Callable
from typing import Any

from diptych.schemas.errors import DiptychError

_START_ATTEMPTS = 3  # the raylet gives up if its agent needs more than 15 s to start
_progress = logging.getLogger("diptych.progress")


def start_local_ray(
    num_cpus: int, make_error: Callable[[str], DiptychError], **options: Any
) -> None:
    """Start a local Ray with its own token and without a dashboard.

    Args:
      num_cpus: Number of CPUs that Ray schedules.
      make_error: Creates the error to raise from the reason why Ray did not start.
      **options: Further arguments of ``ray.init``.
    """
    import ray

    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            ray.init(address="local", num_cpus=num_cpus, include_dashboard=False, **options)
            return
        except Exception as error:
            ray.shutdown()
            if attempt == _START_ATTEMPTS:
                raise make_error(" ".join(str(error).split()) or repr(error)) from error
            _progress.info("Ray did not start, attempt %d of %d", attempt + 1, _START_ATTEMPTS)
            time.sleep(2 * attempt)
