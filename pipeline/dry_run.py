"""Dry run: find out which steps would come from the cache, without running any."""

import contextlib
import dataclasses
import sqlite3
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tfx.dsl.compiler import compiler, constants
from tfx.orchestration import metadata
from tfx.orchestration.local import runner_utils
from tfx.orchestration.metadata import sqlite_metadata_connection_config
from tfx.orchestration.pipeline import Pipeline
from tfx.orchestration.portable import launcher, runtime_parameter_utils

from diptych.components.common.production import resolve_production
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.span_files import find_span_files
from diptych.components.example_gen.split_scan import list_mixed_splits
from diptych.components.example_gen.unused_columns import (
    has_columns,
    list_suspicious_headers,
    list_unused_columns,
)
from diptych.pipeline.engines import check_reachable
from diptych.pipeline.runners.local import clear_beam_args
from diptych.pipeline.session import make_encoder_importable, resolve_root
from diptych.pipeline.workspace import DATABASE, serving_folder
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import ImageFolder
from diptych.schemas.errors import ConfigError
from diptych.schemas.rejected_rows import count_reasons, most_frequent

_RUN = "dry-run"


@dataclasses.dataclass(frozen=True)
class PlannedStep:
    """A step of a run, and whether its outputs are in the cache."""

    name: str
    cached: bool


def plan_run(config: Config, root: Path | None = None) -> list[PlannedStep]:
    """Check configuration and data, and find out which steps would run.

    TFX looks up the cache in a copy of the metadata; nothing is written into the root. A step after
    a step that would run is also listed as one that would run, although its inputs may not change.

    Args:
      config: Configuration of the pipeline.
      root: Pipeline root; None: ``diptych-NAME`` in the working directory.

    Raises:
      ConfigError: If the configuration does not fit the data, or an engine cannot be reached.
      DataError: If the data cannot be used.
    """
    root = resolve_root(config, root)
    make_encoder_importable(config)
    check_reachable(config.beam, root)
    inputs = infer_input_spec(config.data, config.split)
    from diptych.pipeline.graph import build_pipeline

    production = resolve_production(serving_folder(config, root))
    if not (root / DATABASE).is_file():
        # Building the pipeline creates its root.
        with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
            pipeline = build_pipeline(config, inputs, Path(folder), production)
        return [PlannedStep(step.id, cached=False) for step in pipeline.components]
    pipeline = build_pipeline(config, inputs, root, production)
    with _copy_database(root / DATABASE) as database:
        return list(_look_up_steps(pipeline, database))


def describe_data(config: Config) -> list[str]:
    """Describe what a run does not use of tables, and what looks wrong, one line for each reason.

    Raises:
      ConfigError: See ``infer_input_spec``.
      DataError: See there.
    """
    if isinstance(config.data, ImageFolder) and config.data.table is None:
        return []
    newest = find_span_files(config.data)[-1]
    unused = list(newest.ignored)
    oddities = list_mixed_splits(newest, config.split)
    if has_columns(config.data):
        inputs = infer_input_spec(config.data, config.split)
        unused += list_unused_columns(newest, config.data, inputs)
        oddities += list_suspicious_headers(newest, config.data)
    return [
        f"{title:<18}{times.count} x {reason} ({'such as ' * (times.count > 1)}{times.source})"
        for title, counts in (("Ignored", count_reasons(unused)), ("Data", count_reasons(oddities)))
        for reason, times in most_frequent(counts)
    ]


def _look_up_steps(pipeline: Pipeline, database: Path) -> Iterator[PlannedStep]:
    program = compiler.Compiler().compile(pipeline)
    runtime_parameter_utils.substitute_runtime_parameter(
        program, {constants.PIPELINE_RUN_ID_PARAMETER_NAME: _RUN}
    )
    # TFX creates folders below the pipeline root; they are not part of the cache key.
    program.runtime_spec.pipeline_root.field_value.string_value = str(database.parent)
    deployment = runner_utils.extract_local_deployment_config(program)
    connection = sqlite_metadata_connection_config(str(database))
    changed: set[str] = set()  # steps that would run
    for node in program.nodes:
        name = node.pipeline_node.node_info.id
        step_launcher = launcher.Launcher(
            pipeline_node=node.pipeline_node,
            mlmd_connection=metadata.Metadata(connection),
            pipeline_info=program.pipeline_info,
            pipeline_runtime_spec=program.runtime_spec,
            executor_spec=clear_beam_args(runner_utils.extract_executor_spec(deployment, name)),
            custom_driver_spec=runner_utils.extract_custom_driver_spec(deployment, name),
        )
        # The launcher publishes cached outputs to the metadata, where the next steps find them.
        cached = (
            changed.isdisjoint(node.pipeline_node.upstream_nodes)
            and not step_launcher._prepare_execution().is_execution_needed
        )
        if not cached:
            changed.add(name)
        yield PlannedStep(name, cached)


@contextlib.contextmanager
def _copy_database(database: Path) -> Iterator[Path]:
    """Copy the metadata, also while another process writes to them."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        copy = Path(folder) / DATABASE
        try:
            source_uri = f"{database.as_uri()}?mode=ro"
            with (
                contextlib.closing(sqlite3.connect(source_uri, uri=True)) as source,
                contextlib.closing(sqlite3.connect(copy)) as target,
            ):
                source.backup(target)
        except sqlite3.Error as error:
            raise ConfigError(f"Cannot read the metadata {database}: {error}.") from error
        yield copy
