import contextlib

import pytest


@pytest.fixture(scope="session")
def toy_root(tmp_path_factory):
    """Root with executed, cached, failed, interrupted and not blessed runs of two pipelines.

    The last two runs differ from the first: one only in its model, one also in its test pairs.
    """
    from toy_runs import run_toy

    root = tmp_path_factory.mktemp("root")
    classes = {"ant": 0.9, "bee": 0.5}
    run_toy(root, "2026-11-01_010000", classes=classes)
    run_toy(root, "2026-11-01_020000", classes=classes)
    run_toy(root, "2026-11-02_010000", pipeline="other")
    with contextlib.suppress(ValueError):
        run_toy(root, "2026-11-02_020000", end="failed")
    with contextlib.suppress(KeyboardInterrupt):
        run_toy(root, "2026-11-02_030000", end="interrupted")
    run_toy(root, "tune-2026-11-03_010000-1", last="PairGen")
    worse = {"accuracy": 0.7, "learning_rate": 0.2, "classes": {"ant": 0.8, "bee": 0.7, "cat": 1}}
    run_toy(root, "2026-11-04_010000", **worse, distance=[0.1, 0.1, 0.9, 0.9])
    run_toy(root, "2026-11-05_010000", rounds=2, fingerprint="f2", code="c2", left=[1, 1, 2, 3])
    return root
