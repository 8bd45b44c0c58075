"""ExampleGen: convert raw labelled data to Examples (train, calibration, test) and Rejected."""

import functools
import json
import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pydantic
from tfx import types
from tfx.components.util import examples_utils
from tfx.dsl.components.base import (
    base_beam_component,
    base_beam_executor,
    base_driver,
    executor_spec,
)
from tfx.orchestration.portable import base_driver as portable_base_driver
from tfx.orchestration.portable import data_types
from tfx.proto import example_gen_pb2
from tfx.proto.orchestration import driver_output_pb2
from tfx.types import artifact_utils, component_spec, standard_artifacts

from diptych.components.example_gen.corrections import read_corrections
from diptych.components.example_gen.ingest import Ingest, remove_partial_files
from diptych.components.example_gen.ingest_checks import check_conflicts, check_ingest
from diptych.components.example_gen.span_files import (
    SpanFiles,
    compute_fingerprint,
    find_span_files,
)
from diptych.components.example_gen.split_scan import find_given_splits
from diptych.schemas.artifacts import DataReportArtifact, Rejected
from diptych.schemas.cleanup import cleanup_on_error
from diptych.schemas.config.data import DataConfig
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.data_report import (
    DataReport,
    describe_corrections,
    describe_duplicates,
    describe_leaks,
)
from diptych.schemas.files import empty_folder
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.rejected_rows import IngestSummary
from diptych.schemas.shards import SPLITS

_logger = logging.getLogger("diptych")
_progress = logging.getLogger("diptych.progress")
_DATA: pydantic.TypeAdapter[DataConfig] = pydantic.TypeAdapter(
    Annotated[DataConfig, pydantic.Field(discriminator="kind")]
)


class ExampleGenSpec(component_spec.ComponentSpec):
    """Parameters as JSON. The driver sets ``fingerprint`` when the run starts."""

    PARAMETERS: ClassVar[dict[str, Any]] = {
        "data": component_spec.ExecutionParameter(type=str),
        "split": component_spec.ExecutionParameter(type=str),
        "inputs": component_spec.ExecutionParameter(type=str),
        "code_hash": component_spec.ExecutionParameter(type=str),
        "fingerprint": component_spec.ExecutionParameter(type=str, optional=True),
    }
    INPUTS: ClassVar[dict[str, Any]] = {}
    OUTPUTS: ClassVar[dict[str, Any]] = {
        "examples": component_spec.ChannelParameter(type=standard_artifacts.Examples),
        "rejected": component_spec.ChannelParameter(type=Rejected),
        "data_report": component_spec.ChannelParameter(type=DataReportArtifact),
    }


class FingerprintDriver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Add the fingerprint of the files to the parameters, so that new data are not a cache hit."""

    def __init__(self, metadata_handle: Any) -> None:
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Compute the fingerprint from the names, sizes and modification times of the files."""
        data = _DATA.validate_json(execution_info.exec_properties["data"])
        output = driver_output_pb2.DriverOutput()
        output.exec_properties["fingerprint"].string_value = compute_fingerprint(
            find_span_files(data), data.corrections
        )
        return output


class ExampleGenExecutor(base_beam_executor.BaseBeamExecutor):
    """Read the data in Beam and write the artifacts; see ``Ingest``."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Run the step. After an error, the output folders are empty.

        Raises:
          DataError: See ``check_ingest`` and ``check_conflicts``.
          ConfigError: See ``read_corrections``.
        """
        data = _DATA.validate_json(exec_properties["data"])
        split = SplitConfig.model_validate_json(exec_properties["split"])
        inputs = InputSpec.model_validate_json(exec_properties["inputs"])
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        rejected = artifact_utils.get_single_instance(output_dict["rejected"])
        data_report = artifact_utils.get_single_instance(output_dict["data_report"])
        artifacts = (examples, rejected, data_report)
        started = time.monotonic()
        folders = [Path(artifact.uri) for artifact in artifacts]
        with cleanup_on_error(*(functools.partial(empty_folder, each) for each in folders)):
            spans = find_span_files(data)
            given = find_given_splits(spans, data, split)
            if data.corrections is not None:
                read_corrections(data)
            with self._make_beam_pipeline() as pipeline:
                _ = pipeline | Ingest(
                    spans, data, split, inputs, given, *(artifact.uri for artifact in artifacts)
                )
            for artifact in artifacts:
                remove_partial_files(artifact.uri)
            summary = IngestSummary.read(Path(rejected.uri))
            report = DataReport.read(Path(data_report.uri))
            # Conflicts first: if all examples are in conflict, there are none left.
            check_conflicts(report, data.max_conflicts)
            check_ingest(summary, report, data.max_rejected, split)
        for name, reason in summary.skipped_spans.items():
            _logger.warning("Skipped the span %s: %s", name, reason)
        _set_artifact_properties(examples, rejected, summary, spans)
        examples.set_string_custom_property(
            "fingerprint", compute_fingerprint(spans, data.corrections)
        )
        data_report.set_int_custom_property("num_leaked", report.num_leaked)
        data_report.set_int_custom_property("num_conflicts", report.num_conflicts)
        used = summary.used
        _logger.info(
            "ExampleGen: %d read, %d rejected; %s; %.1f s",
            used.num_read,
            used.num_rejected,
            ", ".join(
                f"{count} {name}" for name, count in zip(SPLITS, used.num_examples, strict=True)
            ),
            time.monotonic() - started,
        )
        _report_data(report)


class ExampleGen(base_beam_component.BaseBeamComponent):
    """Convert raw labelled data to tf.Examples.

    Outputs:
      examples: Splits train, calibration and test; features as in ``schemas.input_spec``. Custom
        properties: ``num_examples``, ``num_train``, ``num_calibration``, ``num_test``, and the
        ``fingerprint`` of the files. For data in spans, TFX's ``span`` and ``version`` are those
        of the newest span, and the custom properties ``num_spans`` and ``spans`` list the spans
        used, newest last, as JSON (name and version). Sources start with the name of the span.
      rejected: See ``schemas.artifacts.Rejected``.
      data_report: See ``schemas.artifacts.DataReportArtifact``.
    """

    SPEC_CLASS = ExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(ExampleGenExecutor)
    DRIVER_CLASS = FingerprintDriver

    def __init__(
        self, data: DataConfig, split: SplitConfig, inputs: InputSpec, code_hash: str = ""
    ) -> None:
        """Create the component.

        Args:
          data: Path and columns of the data.
          split: Fractions of the splits.
          inputs: Features, from ``infer_input_spec(data, split)``.
          code_hash: Hash of the code of this step, so that a code change is not a cache hit.
        """
        spec = ExampleGenSpec(
            data=_to_canonical_json(data),
            split=_to_canonical_json(split),
            inputs=_to_canonical_json(inputs),
            code_hash=code_hash,
            examples=types.Channel(type=standard_artifacts.Examples),
            rejected=types.Channel(type=Rejected),
            data_report=types.Channel(type=DataReportArtifact),
        )
        super().__init__(spec=spec)


def _report_data(report: DataReport) -> None:
    """Report duplicates, leaks, conflicts and corrections, before anything is trained."""
    lines = [f"duplicates: {describe_duplicates(report)}"]
    if report.num_leaked:
        lines.append(describe_leaks(report))
    if report.num_conflicts:
        lines.append(f"{report.num_conflicts:,} examples with conflicting labels rejected")
    if report.corrections is not None:
        lines.append(describe_corrections(report.corrections))
    for line in lines:
        _logger.info("ExampleGen: %s", line)
    _progress.info("%s", "; ".join(lines), extra={"keep": True})


def _to_canonical_json(model: pydantic.BaseModel) -> str:
    return json.dumps(model.model_dump(mode="json"), sort_keys=True)


def _set_artifact_properties(
    examples: types.Artifact,
    rejected: types.Artifact,
    summary: IngestSummary,
    span_files: Sequence[SpanFiles],
) -> None:
    used = summary.used
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, "tfrecords_gzip")
    examples.set_int_custom_property("num_examples", sum(used.num_examples))
    for name, count in zip(SPLITS, used.num_examples, strict=True):
        examples.set_int_custom_property(f"num_{name}", count)
    rejected.set_int_custom_property("num_rejected", used.num_rejected)
    rejected.set_int_custom_property("num_read", used.num_read)
    spans = [
        files.span for files in span_files if files.span and files.name not in summary.skipped_spans
    ]
    if spans:
        examples.span = spans[-1].number
        examples.version = spans[-1].version or 0
        named = [{"name": span.name, "version": span.version} for span in spans]
        examples.set_string_custom_property("spans", json.dumps(named))
        examples.set_int_custom_property("num_spans", len(spans))
        rejected.set_string_custom_property("skipped_spans", json.dumps(summary.skipped_spans))
