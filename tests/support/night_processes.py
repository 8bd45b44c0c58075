"""Nights in separate processes, which can be killed at a given moment of a given step.

The processes are forked from a server that has imported TFX and TensorFlow but started nothing: it
has one thread, apart from those of jemalloc, which supports forks.
"""

import json
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

_FORKSERVER = multiprocessing.get_context("forkserver")
# The server ignores modules that do not exist; each night would then import TensorFlow itself.
PRELOADED = (
    "diptych.components.common.exported_model",
    "diptych.components.evaluator.evaluation_report",
    "diptych.components.evaluator.raw_split",
    "diptych.components.example_gen.ingest",
    "diptych.components.pair_gen.transforms",
    "diptych.components.trainer.export",
    "diptych.components.trainer.launch",
    "diptych.pipeline.graph",
    "diptych.pipeline.nightly.night_result",
    "diptych.pipeline.nightly.pruning",
    "diptych.pipeline.report.build",
    "diptych.pipeline.runners.local",
    "diptych.pipeline.runs.run_summary",
)
_FORKSERVER.set_forkserver_preload(list(PRELOADED))


class NightProcess:
    """``diptych run CONFIG --nightly``, started.

    Args:
      config: Configuration file.
      root: Pipeline root.
      out: Path without suffix of the files for its output.
      kill: Step and moment of a SIGKILL: ``"start"``, before the step does anything; ``"middle"``,
        when its first file exists; ``"end"``, when all exist and nothing is recorded yet.
    """

    def __init__(self, config, root, out, kill=None):
        self._out = out
        self._process = _FORKSERVER.Process(target=_run_night, args=(config, root, out, kill))
        self._process.start()

    def end(self):
        """Wait for the end; return the exit code and the summary, which is None after a kill."""
        self._process.join()
        lines = self._out.with_suffix(".json").read_text().splitlines()
        return self._process.exitcode, json.loads(lines[-1]) if lines else None

    @property
    def stderr(self):
        """Content of standard error."""
        return self._out.with_suffix(".txt").read_text()


def _run_night(config, root, out, kill):
    for number, suffix in ((1, ".json"), (2, ".txt")):
        file = os.open(out.with_suffix(suffix), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, number)
    from diptych.cli.main import main

    if kill is not None:
        _schedule_kill(*kill, root / "serving")
    main(["run", str(config), "--nightly", "--root", str(root)])


def _schedule_kill(step, moment, serving):
    from tfx.orchestration.portable.launcher import Launcher

    execute = Launcher._run_executor

    def execute_and_kill(self, info):
        if self._pipeline_node.node_info.id != step:
            return execute(self, info)
        if moment == "start":
            _kill_process()
        if moment == "middle":
            outputs = [
                Path(each.uri) for artifacts in info.output_dict.values() for each in artifacts
            ]
            threading.Thread(
                target=_kill_when_written, args=(outputs, serving), daemon=True
            ).start()
        execute(self, info)
        _kill_process()  # also a step that writes nothing, or too fast

    Launcher._run_executor = execute_and_kill


def _kill_when_written(outputs, serving):
    while True:
        for folder in [*outputs, *serving.glob(".pushing-*")]:
            if any(path.is_file() for path in folder.rglob("*")):
                _kill_process()
        time.sleep(0.001)


def _kill_process():
    os.kill(os.getpid(), signal.SIGKILL)
