"""A Ray of this machine alone, which ends with the process that started it."""

import logging
import time
from collections.abc import Callable
from typing import Any

from diptych.schemas.errors import DiptychError

_START_ATTEMPTS = 3  # raylet gives up when its agent needs more than 15 s to start
_progress = logging.getLogger("diptych.progress")


def start_local_ray(cpus: int, failure: Callable[[str], DiptychError], **options: Any) -> None:
    """Starts one with so many CPUs, with a token of its own and without a dashboard.

    Args:
      cpus: by Ray's count.
      failure: makes the error to raise of the reason why it did not start.
      options: more of ``ray.init``.
    """
    import ray

    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            ray.init(address="local", num_cpus=cpus, include_dashboard=False, **options)
            return
        except Exception as error:
            ray.shutdown()
            if attempt == _START_ATTEMPTS:
                raise failure(" ".join(str(error).split()) or repr(error)) from error
            _progress.info("Ray did not start, attempt %d of %d", attempt + 1, _START_ATTEMPTS)
            time.sleep(2 * attempt)
