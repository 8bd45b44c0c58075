"""Nights in processes of their own, which are killed at a chosen moment of a chosen step.

They are forked from a server that has imported TFX and TensorFlow and started nothing: it has one
thread, but for jemalloc's, which knows of forks.
"""

import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(
    [
        f"diptych.{name}"
        for name in (
            "components.evaluator.judging",
            "components.example_gen.ingest",
            "components.exported",
            "components.pair_gen.transforms",
            "components.trainer.cluster",
            "components.trainer.export",
            "pipeline.graph",
            "pipeline.local",
            "pipeline.nightly.prune",
            "pipeline.nightly.result",
            "pipeline.report.build",
            "pipeline.summary",
        )
    ]
)


class NightProcess:
    """``diptych run CONFIG --nightly``, started.

    Args:
      config: file.
      root: of the runs.
      out: file for what it prints.
      kill: a step, and ``"start"``, ``"middle"`` or ``"end"``: before it does anything; when its
        first file is there; when all of them are, and nothing is recorded.
    """

    def __init__(self, config, root, out, kill=None):
        self._out = out
        self._process = _FORKED.Process(target=_night, args=(config, root, out, kill))
        self._process.start()

    def end(self):
        """The exit code, and the summary; None of a process that was killed."""
        self._process.join()
        said = self._out.with_suffix(".json").read_text().splitlines()
        return self._process.exitcode, json.loads(said[-1]) if said else None

    @property
    def noise(self):
        """What it said to people."""
        return self._out.with_suffix(".txt").read_text()


def _night(config, root, out, kill):
    for number, suffix in ((1, ".json"), (2, ".txt")):
        file = os.open(out.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    from diptych.cli.main import main

    if kill is not None:
        _prepare_to_die(*kill, root / "serving")
    main(["run", str(config), "--nightly", "--root", str(root)])


def _prepare_to_die(step, moment, serving):
    from tfx.orchestration.portable.launcher import Launcher

    execute = Launcher._run_executor

    def killed(self, info):
        if self._pipeline_node.node_info.id != step:
            return execute(self, info)
        if moment == "start":
            _die()
        if moment == "middle":
            outputs = [Path(each.uri) for several in info.output_dict.values() for each in several]
            threading.Thread(target=_die_when_there, args=(outputs, serving), daemon=True).start()
        execute(self, info)
        _die()  # one that writes nothing, or too fast, is killed here as well

    Launcher._run_executor = killed


def _die_when_there(outputs, serving):
    while True:
        for folder in [*outputs, *serving.glob(".pushing-*")]:
            if any(path.is_file() for path in folder.rglob("*")):
                _die()
        time.sleep(0.001)


def _die():
    os.kill(os.getpid(), signal.SIGKILL)
