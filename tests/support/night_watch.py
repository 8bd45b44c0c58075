"""Invariants of a pipeline root after each night and after each killed process."""

import json

from diptych.pipeline.runs.outcome import find_pushed_version
from diptych.pipeline.runs.records import read_runs
from diptych.schemas.files import PARTIAL_SUFFIX
from diptych.schemas.manifest import ModelManifest
from diptych.schemas.versions import list_rolled_back, list_versions

KEEP_RUNS, KEEP_VERSIONS = 4, 3
_PROTECTED = 2  # the run blessed last, and the run of the version in production


class RootInvariants:
    """Checks of a pipeline root; complete steps and artifacts must not change between checks."""

    def __init__(self, root):
        self._root = root
        self._executions = {}  # (run, step): id of the complete execution
        self._files = {}  # artifact: its files, with size and time

    def check(self, *, was_killed):
        """Assert all invariants."""
        runs = read_runs(self._root)
        self._check_versions(runs)
        self._check_steps_are_not_repeated(runs)
        self._check_artifacts(runs)
        self._check_json_files()
        if not was_killed:
            self._check_no_leftovers(runs)

    def _check_versions(self, runs):
        serving = self._root / "serving"
        for version in [*list_versions(serving), *list_rolled_back(serving)]:
            manifest = ModelManifest.read(version)
            manifest.verify(version)
            assert str(manifest.version) == version.name
            assert manifest.metrics["accuracy"] >= 0.8
        visible = [path for path in serving.glob("*") if not path.name.startswith(".")]
        assert sorted(visible) == sorted(list_versions(serving))
        if visible:
            production = list_versions(serving)[-1]
            pushed = [run for run in runs if _version(run) == production.name]
            blessed = [run for run in runs if _is_blessed(run)]
            for run in [pushed[-1], blessed[-1]] if pushed else blessed[-1:]:
                assert not run.pruned
                assert all(artifact.path.exists() for artifact in run.artifacts)

    def _check_steps_are_not_repeated(self, runs):
        complete = [
            ((run.name, step.name), step.id)
            for run in runs
            for step in run.steps
            if step.state in ("ran", "cached")
        ]
        executions = dict(complete)
        assert len(executions) == len(complete)
        assert executions | self._executions == executions
        self._executions = executions

    def _check_artifacts(self, runs):
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
                assert not [path for path in files if path.name.endswith((PARTIAL_SUFFIX, ".part"))]
                assert self._files.setdefault(artifact.path, files) == files

    def _check_json_files(self):
        for path in [*self._root.glob("nights/*.json"), *self._root.rglob("evaluation.json")]:
            json.loads(path.read_bytes())
        for line in (self._root / "nights.jsonl").read_bytes().splitlines():
            json.loads(line)

    def _check_no_leftovers(self, runs):
        serving = self._root / "serving"
        assert {path.name for path in serving.glob(".*")} <= {".rolled-back"}
        assert not list(self._root.glob(".trash"))
        names = {path.name for path in (self._root / "runs").iterdir()}
        assert {run.name for run in runs[-KEEP_RUNS:]} <= names
        assert len(names) <= KEEP_RUNS + _PROTECTED + 1  # one may have failed before its first step
        assert len(list((self._root / "nights").iterdir())) == len(names)
        kept = [run for run in runs if run.name in names]
        needed = {artifact.path for run in kept for artifact in run.artifacts}
        interrupted = {str(step.id) for run in kept for step in run.steps} - {
            str(number) for number in self._executions.values()
        }
        existing = {
            path
            for path in (self._root / "artifacts").glob("*/*/[0-9]*")
            if path.parent.name != "checkpoints" and path.name not in interrupted
        }
        assert existing == needed
        assert len(list_versions(serving)) <= KEEP_VERSIONS + _PROTECTED
        assert len(list_rolled_back(serving)) <= KEEP_VERSIONS + _PROTECTED


def _version(run):
    pushed = find_pushed_version(run)
    return pushed and pushed.version


def _is_blessed(run):
    evaluation = run.output("Evaluator", "evaluation")
    return evaluation is not None and evaluation.properties["blessed"]
