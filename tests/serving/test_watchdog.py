import time

import pytest

from diptych.serving.watchdog import Watchdog


def test_a_step_above_the_limit_is_an_error_until_it_ends():
    watchdog = Watchdog(limit_s=0.05)
    watchdog.check()
    with watchdog.watch():
        watchdog.check()
        time.sleep(0.1)
        with pytest.raises(TimeoutError, match=r"for 0\.05 s"):
            watchdog.check()
    watchdog.check()
    with watchdog.watch():  # each step has the complete time
        watchdog.check()
