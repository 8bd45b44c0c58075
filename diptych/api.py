"""Functions of the Python API; ``import diptych`` imports them when they are first used."""

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from diptych.schemas.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

    from diptych.inference.model import Model
    from diptych.pipeline.progress import ProgressReporter
    from diptych.pipeline.runs.records import RunRecord
    from diptych.schemas.evaluation import Estimate, EvaluationReport


@dataclasses.dataclass(frozen=True)
class Run:
    """A completed run.

    Attributes:
      name: Name of the run, as ``diptych runs`` lists it.
      root: Pipeline root.
      record: Record of the run in ML Metadata: steps, parameters, artifacts.
    """

    name: str
    root: Path
    record: "RunRecord"

    @functools.cached_property
    def evaluation(self) -> "EvaluationReport":
        """All metrics of the evaluation, with intervals, slices and the verdict."""
        from diptych.schemas.evaluation import EvaluationReport

        return EvaluationReport.read(_output_path(self.record, "Evaluator", "evaluation"))

    @functools.cached_property
    def metrics(self) -> dict[str, float]:
        """Metrics of the test split at the calibrated threshold, such as ``accuracy``.

        Undefined metrics are left out. Metrics of the slices ``seen`` and ``unseen`` have the name
        of the slice as a prefix: ``unseen_recall_at_1``.
        """
        return flatten_metrics(self.evaluation)

    @property
    def blessed(self) -> bool:
        """Whether the model passed every check, so that it may be pushed."""
        return self.evaluation.blessed

    @property
    def report(self) -> Path | None:
        """Path of the HTML report, or None if it could not be built."""
        from diptych.pipeline.workspace import report_path

        path = report_path(self.root, self.name)
        return path if path.is_file() else None

    @functools.cached_property
    def model(self) -> "Model | None":
        """Model that the run pushed, or None if it pushed none."""
        from diptych.pipeline.runs.outcome import find_pushed_version

        pushed = find_pushed_version(self.record)
        return None if pushed is None else load_model(pushed.path)


class PairTables(NamedTuple):
    """Pairs of a split.

    Attributes:
      examples: Rows of the P x K batches: ``batch``, ``id``, ``label``, ``class``, ``weight``,
        ``repeats``, ``x``.
      pairs: ``batch``, ``left``, ``right``, ``same``, ``weight``; ``left`` and ``right`` are row
        numbers of ``examples``.
      triplets: ``batch``, ``anchor``, ``positive``, ``negative``, ``weight``, likewise.
    """

    examples: "pa.Table"
    pairs: "pa.Table"
    triplets: "pa.Table"


def run(
    config: str | os.PathLike[str],
    *,
    root: str | os.PathLike[str] | None = None,
    overrides: Mapping[str, Any] | None = None,
    progress: "ProgressReporter | None" = None,
) -> Run:
    """Run the pipeline that a configuration describes.

    Steps whose data, settings and code have not changed are taken from the cache. Nothing is
    printed; the log is in the folder of the run.

    >>> run = diptych.run("diptych.yaml", root="root", overrides={"train.epochs": 1})
    >>> run.metrics["accuracy"] > 0.5
    True
    >>> run.model
    <Model toy version ...>

    Args:
      config: Configuration file.
      root: Pipeline root. Default: ``diptych-NAME`` in the working directory.
      overrides: Values of the configuration, by ``section.key``.
      progress: Receives the progress. Default: it is not reported.

    Raises:
      ConfigError: If the configuration is invalid.
      DataError: If the data cannot be used.
      BusyError: If another process uses the root.
      DiptychError: As raised by a step; ``StepError`` for an unexpected error.
    """
    from diptych.pipeline.run import run_pipeline
    from diptych.pipeline.session import resolve_root
    from diptych.schemas.config.loading import load_config

    settings = tuple(_to_setting(key, value) for key, value in (overrides or {}).items())
    loaded = load_config(Path(config), settings)
    folder = resolve_root(loaded, None if root is None else Path(root))
    record = run_pipeline(loaded, folder, progress)
    return Run(record.name, folder, record)


def open_run(root: str | os.PathLike[str], name: str = "latest") -> Run:
    """Open a completed run of a pipeline root.

    >>> diptych.open_run("root").blessed
    True

    Args:
      root: Pipeline root.
      name: Name of the run, a unique prefix of it, or ``latest``.

    Raises:
      ConfigError: If the root has no such run.
    """
    from diptych.pipeline.runs.records import find_run, read_runs

    folder = Path(root).absolute()
    record = find_run(read_runs(folder), name)
    return Run(record.name, folder, record)


def load_model(path: str | os.PathLike[str]) -> "Model":
    """Load the newest version of a pushed model, and verify the digests of its files.

    TensorFlow is imported by the first call of ``embed`` or ``compare``.

    >>> model = diptych.load_model("root/serving")
    >>> model.threshold > 0
    True

    Args:
      path: Folder of versions, such as ``demo/serving``, or of one version.

    Raises:
      ModelError: If there is no model, or its files have changed since it was pushed.
    """
    from diptych.inference.model import Model

    return Model(Path(path))


def read_pairs(run: Run, split: str = "train") -> PairTables:
    """Read the pairs that a run has generated.

    >>> pairs = diptych.read_pairs(run, split="test").pairs
    >>> pairs.column_names
    ['batch', 'left', 'right', 'same', 'weight']

    Args:
      run: A run, as returned by ``run`` or ``open_run``.
      split: ``train``, ``calibration`` or ``test``.

    Returns:
      Arrow tables. The examples are memory-mapped.

    Raises:
      ConfigError: If there is no such split, or the run has not generated pairs.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from diptych.schemas.shards import SPLITS, SplitManifest, shard_name

    if not isinstance(run, Run):
        raise ConfigError(f"Expected a run, as returned by run or open_run, got {run!r}.")
    if split not in SPLITS:
        raise ConfigError(f"There is no split {split!r}. The splits are {', '.join(SPLITS)}.")
    folder = _output_path(run.record, "PairGen", "pairs") / f"Split-{split}"
    manifest = SplitManifest.read(folder)
    examples, pairs, triplets = [], [], []
    offset = 0  # row numbers start at 0 in each shard
    for shard in range(manifest.num_shards):

        def path(table: str, shard: int = shard) -> str:
            return str(folder / shard_name(table, shard, manifest.num_shards))

        pairs.append(_shift(pq.read_table(path("pairs")), ("left", "right"), offset))
        columns = ("anchor", "positive", "negative")
        triplets.append(_shift(pq.read_table(path("triplets")), columns, offset))
        examples.append(pa.ipc.open_file(pa.memory_map(path("examples"))).read_all())
        offset += len(examples[-1])
    return PairTables(*map(pa.concat_tables, (examples, pairs, triplets)))


def flatten_metrics(evaluation: "EvaluationReport") -> dict[str, float]:
    """Flatten the metrics of an evaluation, without intervals and undefined metrics."""
    estimates: dict[str, Estimate] = {}
    for part in evaluation.slices:
        if part is not evaluation.all and part.name not in ("seen", "unseen"):
            continue
        prefix = "" if part is evaluation.all else f"{part.name}_"
        if (pairs := part.verification) is not None:
            for name in ("accuracy", "precision", "recall", "f1"):
                estimates[prefix + name] = getattr(pairs.calibrated, name)
            estimates[f"{prefix}roc_auc"] = pairs.roc_auc
            estimates[f"{prefix}equal_error_rate"] = pairs.equal_error_rate
            for each in pairs.tar_at_far:
                estimates[f"{prefix}tar_at_far_{each.false_accept_rate:g}"] = each.rate
        if (retrieval := part.retrieval) is not None:
            for name in ("recall_at_1", "recall_at_5", "map_at_r"):
                estimates[prefix + name] = getattr(retrieval, name)
        for episodes in part.few_shot:
            name = f"{prefix}{episodes.ways}_way_{episodes.shots}_shot_accuracy"
            estimates[name] = episodes.accuracy
    baseline = evaluation.raw_distance
    estimates["baseline_accuracy"] = baseline.accuracy
    estimates["baseline_roc_auc"] = baseline.roc_auc
    estimates["baseline_equal_error_rate"] = baseline.equal_error_rate
    if baseline.recall_at_1 is not None:
        estimates["baseline_recall_at_1"] = baseline.recall_at_1
    return {name: each.value for name, each in estimates.items() if each.value is not None}


def _output_path(record: "RunRecord", step: str, key: str) -> Path:
    artifact = record.output(step, key)
    if artifact is None:
        raise ConfigError(f"The run {record.name} has no output of {step}: it did not complete it.")
    return artifact.path


def _shift(table: "pa.Table", columns: tuple[str, ...], offset: int) -> "pa.Table":
    """Add an offset to columns of row numbers, as int64."""
    import pyarrow as pa
    import pyarrow.compute as pc

    for name in columns:
        index = table.column_names.index(name)
        shifted = pc.add(table[name].cast(pa.int64()), offset)
        table = table.set_column(index, name, shifted)
    return table


def _to_setting(key: str, value: Any) -> str:
    """Format an override as ``load_config`` expects it: ``key.path=value``, the value in YAML."""
    import numpy as np
    import yaml

    if isinstance(value, os.PathLike):
        value = os.fspath(value)
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, tuple):
        value = list(value)
    try:
        text = yaml.safe_dump(value, default_flow_style=True, width=10**9, allow_unicode=True)
    except yaml.YAMLError as error:
        raise ConfigError(f"The override {key} cannot be written as YAML: {value!r}.") from error
    return f"{key}={text.removesuffix('...' + chr(10)).strip()}"
