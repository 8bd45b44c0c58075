"""The step: raw data to Examples (train, calibration, test) and Rejected."""

import json
import logging
import time
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar

import pydantic
import tensorflow as tf
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

from diptych.components.example_gen.files import Found, find_data, fingerprint_of
from diptych.components.example_gen.ingest import Ingest, remove_halves, summary_path
from diptych.components.example_gen.rejections import Reading, check
from diptych.schemas.artifacts import Rejected
from diptych.schemas.config.data import Data
from diptych.schemas.config.split import Split
from diptych.schemas.input_spec import Inputs
from diptych.schemas.shards import SPLITS

_log = logging.getLogger("diptych")
_data: pydantic.TypeAdapter[Data] = pydantic.TypeAdapter(
    Annotated[Data, pydantic.Field(discriminator="kind")]
)


class ExampleGenSpec(component_spec.ComponentSpec):
    """Parameters are JSON; ``fingerprint`` is set by the driver, when the run starts."""

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
    }


class Driver(base_driver.BaseDriver, portable_base_driver.BaseDriver):
    """Adds the fingerprint of the files to the parameters, so that new data are not a cache hit."""

    def __init__(self, metadata_handle: Any) -> None:
        base_driver.BaseDriver.__init__(self, metadata_handle)
        portable_base_driver.BaseDriver.__init__(self, metadata_handle)

    def run(self, execution_info: data_types.ExecutionInfo) -> driver_output_pb2.DriverOutput:
        """Looks at names, sizes and times of the files."""
        parts = find_data(_data.validate_json(execution_info.exec_properties["data"]))
        output = driver_output_pb2.DriverOutput()
        output.exec_properties["fingerprint"].string_value = fingerprint_of(parts)
        return output


class Executor(base_beam_executor.BaseBeamExecutor):
    """Reads the data in Beam and writes both artifacts; see ``Ingest``."""

    def Do(
        self,
        input_dict: dict[str, list[types.Artifact]],
        output_dict: dict[str, list[types.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Raises DataError (see ``rejected.check``); then nothing is left in the outputs."""
        data = _data.validate_json(exec_properties["data"])
        split = Split.model_validate_json(exec_properties["split"])
        inputs = Inputs.model_validate_json(exec_properties["inputs"])
        examples = artifact_utils.get_single_instance(output_dict["examples"])
        rejected = artifact_utils.get_single_instance(output_dict["rejected"])
        started = time.monotonic()
        try:
            parts = find_data(data)
            with self._make_beam_pipeline() as pipeline:
                _ = pipeline | Ingest(parts, data, split, inputs, examples.uri, rejected.uri)
            for artifact in (examples, rejected):
                remove_halves(artifact.uri)
            with tf.io.gfile.GFile(summary_path(rejected.uri)) as file:
                reading = Reading.model_validate_json(file.read())
            check(reading, data.max_rejected, split)
        except BaseException:
            for artifact in (examples, rejected):
                if tf.io.gfile.exists(artifact.uri):
                    tf.io.gfile.rmtree(artifact.uri)
                # Empty, not gone: the launcher removes it once more, and fails if it cannot.
                tf.io.gfile.makedirs(artifact.uri)
            raise
        for name, fault in reading.left_out.items():
            _log.warning("The span %s is left out: %s", name, fault)
        _describe(examples, rejected, reading, parts)
        summary = reading.kept
        _log.info(
            "ExampleGen: %d read, %d rejected; %s; %.1f s",
            summary.num_read,
            summary.num_rejected,
            ", ".join(
                f"{count} {name}" for name, count in zip(SPLITS, summary.num_examples, strict=True)
            ),
            time.monotonic() - started,
        )


class ExampleGen(base_beam_component.BaseBeamComponent):
    """Turns raw labelled data into tf.Examples.

    Outputs:
      examples: splits train, calibration and test; features as in ``schemas.inputs``. Custom
        properties ``num_examples`` and ``num_train``, ``num_calibration``, ``num_test``, and the
        ``fingerprint`` of the files. Where data come in spans: TFX's ``span`` and ``version`` of
        the newest, and as custom properties ``num_spans`` and ``spans``, those that are used, the
        newest last, as JSON (name and version). A source begins with the name of its span.
      rejected: see ``schemas.artifacts.Rejected``.
    """

    SPEC_CLASS = ExampleGenSpec
    EXECUTOR_SPEC = executor_spec.BeamExecutorSpec(Executor)
    DRIVER_CLASS = Driver

    def __init__(self, data: Data, split: Split, inputs: Inputs, code_hash: str = "") -> None:
        """Takes what ``preflight.settle`` was given and what it returned.

        Args:
          data: where the data are, and their parts.
          split: shares.
          inputs: the features, from ``preflight.settle(data, split)``.
          code_hash: of this code, so that a change of it is not a cache hit.
        """
        spec = ExampleGenSpec(
            data=_canonical(data),
            split=_canonical(split),
            inputs=_canonical(inputs),
            code_hash=code_hash,
            examples=types.Channel(type=standard_artifacts.Examples),
            rejected=types.Channel(type=Rejected),
        )
        super().__init__(spec=spec)


def _canonical(model: pydantic.BaseModel) -> str:
    return json.dumps(model.model_dump(mode="json"), sort_keys=True)


def _describe(
    examples: types.Artifact, rejected: types.Artifact, reading: Reading, parts: Sequence[Found]
) -> None:
    summary = reading.kept
    examples.split_names = artifact_utils.encode_split_names(list(SPLITS))
    examples_utils.set_payload_format(examples, example_gen_pb2.PayloadFormat.FORMAT_TF_EXAMPLE)
    examples_utils.set_file_format(examples, "tfrecords_gzip")
    examples.set_string_custom_property("fingerprint", fingerprint_of(parts))
    examples.set_int_custom_property("num_examples", sum(summary.num_examples))
    for name, count in zip(SPLITS, summary.num_examples, strict=True):
        examples.set_int_custom_property(f"num_{name}", count)
    rejected.set_int_custom_property("num_rejected", summary.num_rejected)
    rejected.set_int_custom_property("num_read", summary.num_read)
    spans = [part.span for part in parts if part.span and part.name not in reading.left_out]
    if spans:
        examples.span = spans[-1].number
        examples.version = spans[-1].version or 0
        told = [{"name": span.name, "version": span.version} for span in spans]
        examples.set_string_custom_property("spans", json.dumps(told))
        examples.set_int_custom_property("num_spans", len(spans))
        rejected.set_string_custom_property("left_out", json.dumps(reading.left_out))
