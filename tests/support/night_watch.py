"""What must hold after each night, and after each process that was killed."""

import json

from diptych.pipeline.runs.outcome import pushed_by
from diptych.pipeline.runs.records import read_runs
from diptych.schemas.files import HALF
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.versions import rolled_back, versions

KEEP_RUNS, KEEP_VERSIONS = 4, 3
_PROTECTED = 2  # the run blessed last, and that of production


class Watch:
    """Looks at a root again and again; remembers what was there whole, and must stay so."""

    def __init__(self, root):
        self._root = root
        self._done = {}  # (run, step): id of the execution that ended
        self._files = {}  # of an artifact: its files, with size and time

    def look(self, *, was_killed):
        """Fails if anything is not as it must be."""
        runs = read_runs(self._root)
        self._versions_are_whole(runs)
        self._no_step_is_repeated(runs)
        self._artifacts_are_whole(runs)
        self._files_can_be_read()
        if not was_killed:
            self._nothing_is_left_over(runs)

    def _versions_are_whole(self, runs):
        serving = self._root / "serving"
        for version in [*versions(serving), *rolled_back(serving)]:
            manifest = ModelManifest.read(version)
            manifest.check(version)
            assert str(manifest.version) == version.name
            assert manifest.figures["accuracy"] >= 0.8
        visible = [path for path in serving.glob("*") if not path.name.startswith(".")]
        assert sorted(visible) == sorted(versions(serving))
        if visible:
            production = versions(serving)[-1]
            pushed = [run for run in runs if _version(run) == production.name]
            blessed = [run for run in runs if _is_blessed(run)]
            for run in [pushed[-1], blessed[-1]] if pushed else blessed[-1:]:
                assert not run.pruned
                assert all(artifact.path.exists() for artifact in run.artifacts)

    def _no_step_is_repeated(self, runs):
        ended = [
            ((run.name, step.name), step.id)
            for run in runs
            for step in run.steps
            if step.state in ("ran", "cached")
        ]
        found = dict(ended)
        assert len(found) == len(ended)
        assert found | self._done == found
        self._done = found

    def _artifacts_are_whole(self, runs):
        for run in runs:
            for artifact in run.artifacts:
                if artifact.pruned:
                    assert not artifact.path.exists()
                    continue
                files = {
                    path: (path.stat().st_size, path.stat().st_mtime_ns)
                    for path in artifact.path.rglob("*")
                    if path.is_file()
                }
                assert artifact.path.is_dir()
                assert not [path for path in files if path.name.endswith((HALF, ".part"))]
                assert self._files.setdefault(artifact.path, files) == files

    def _files_can_be_read(self):
        for path in [*self._root.glob("nights/*.json"), *self._root.rglob("evaluation.json")]:
            json.loads(path.read_bytes())
        for line in (self._root / "nights.jsonl").read_bytes().splitlines():
            json.loads(line)

    def _nothing_is_left_over(self, runs):
        serving = self._root / "serving"
        assert {path.name for path in serving.glob(".*")} <= {".rolled-back"}
        assert not list(self._root.glob(".trash"))
        names = {path.name for path in (self._root / "runs").iterdir()}
        assert {run.name for run in runs[-KEEP_RUNS:]} <= names
        assert len(names) <= KEEP_RUNS + _PROTECTED + 1  # and one that failed before its first step
        assert len(list((self._root / "nights").iterdir())) == len(names)
        kept = [run for run in runs if run.name in names]
        needed = {artifact.path for run in kept for artifact in run.artifacts}
        broken = {str(step.id) for run in kept for step in run.steps} - {
            str(number) for number in self._done.values()
        }
        there = {
            path
            for path in (self._root / "artifacts").glob("*/*/[0-9]*")
            if path.parent.name != "unfinished" and path.name not in broken
        }
        assert there == needed
        assert len(versions(serving)) <= KEEP_VERSIONS + _PROTECTED
        assert len(rolled_back(serving)) <= KEEP_VERSIONS + _PROTECTED


def _version(run):
    pushed = pushed_by(run)
    return pushed and pushed.version


def _is_blessed(run):
    evaluation = run.output("Evaluator", "evaluation")
    return evaluation is not None and evaluation.properties["blessed"]
