"""TensorFlow Serving's REST API: requests, responses and error messages.

https://www.tensorflow.org/tfx/serving/api_rest: requests in rows (``instances``) or columns
(``inputs``), their responses, model status and metadata.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from diptych.schemas.input_spec import InputSpec
from diptych.schemas.manifest import ModelManifest
from diptych.serving.api_models import PredictRequest, validate_body
from diptych.serving.http_errors import ApiError
from diptych.serving.json_examples import RawExamples, parse_json_examples, parse_json_vectors
from diptych.serving.request_limits import MAX_EXAMPLES, json_type_name

Signature = Literal["embed", "compare", "measure"]
_OUTPUT_NAMES: dict[Signature, tuple[str, ...]] = {
    "embed": ("embedding",),
    "compare": ("distance", "same", "threshold"),
    "measure": ("distance", "same", "threshold"),
}
_DEFAULT_NAMES = ("", "serving_default")


@dataclasses.dataclass(frozen=True, eq=False)
class PredictCall:
    """A parsed request: the signature, its inputs by name, and the format of the response."""

    signature: Signature
    inputs: dict[str, RawExamples]
    in_rows: bool


def parse_predict(content: dict[str, Any], manifest: ModelManifest) -> PredictCall:
    """Parse the body of ``:predict``.

    Raises:
      ApiError: If the body is not valid for the signature.
    """
    request = validate_body(PredictRequest, content)
    signature = _parse_signature_name(request.signature_name)
    names = _input_names(signature, manifest.inputs)
    in_rows = "instances" in request.model_fields_set
    if in_rows:
        columns = _columns_of_instances(request.instances, names)
    else:
        columns = _columns_of_inputs(request.inputs, names)
    inputs = {
        name: parse_json_vectors(values, manifest.embedding_size, name)
        if signature == "measure"
        else parse_json_examples(values, manifest, name)
        for name, values in columns.items()
    }
    if len({len(values) for values in inputs.values()}) > 1:
        raise ApiError(400, f"{' and '.join(names)} must contain the same number of examples.")
    return PredictCall(signature, inputs, in_rows)


def format_predictions(call: PredictCall, outputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Format the response body; the output of a signature with one output is not named."""
    columns = {name: values.tolist() for name, values in outputs.items()}
    if not call.in_rows:
        return {"outputs": next(iter(columns.values())) if len(columns) == 1 else columns}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def format_model_status(versions: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Format the status of versions; each has the reason why it is refused, or an empty one."""
    return {
        "model_version_status": [
            {
                "version": str(version),
                "state": "END" if reason else "AVAILABLE",
                "status": {
                    "error_code": "FAILED_PRECONDITION" if reason else "OK",
                    "error_message": reason,
                },
            }
            for version, reason in versions
        ]
    }


def format_model_metadata(manifest: ModelManifest) -> dict[str, Any]:
    """Format the signatures with the types and shapes of their inputs and outputs."""
    signatures: tuple[Signature, ...] = ("embed", "compare", "measure")
    return {
        "model_spec": {
            "name": manifest.name,
            "signature_name": "",
            "version": str(manifest.version),
        },
        "metadata": {
            "signature_def": {
                "signature_def": {
                    "serving_default": _signature_def("embed", manifest),
                    **{name: _signature_def(name, manifest) for name in signatures},
                }
            }
        },
    }


def model_not_found_error(name: str, version: int | None = None) -> ApiError:
    """Create the error of an unknown model or version, worded as in TensorFlow Serving."""
    requested = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return ApiError(404, f"Servable not found for request: {requested}")


def _parse_signature_name(name: str) -> Signature:
    if name in _DEFAULT_NAMES:
        return "embed"
    for signature in _OUTPUT_NAMES:
        if name == signature:
            return signature
    raise ApiError(
        400,
        f'Serving signature name: "{name[:80]}" not found in signature def. '
        f"Available: {', '.join(_OUTPUT_NAMES)}.",
    )


def _input_names(signature: Signature, inputs: InputSpec) -> tuple[str, ...]:
    return (inputs.kind,) if signature == "embed" else ("left", "right")


def _columns_of_instances(instances: object, names: tuple[str, ...]) -> dict[str, list[Any]]:
    if not isinstance(instances, list):
        raise ApiError(400, f"instances must be an array, got {json_type_name(instances)}.")
    if len(instances) > MAX_EXAMPLES:
        raise ApiError(
            400, f"instances must contain at most {MAX_EXAMPLES}, it contains {len(instances)}."
        )
    if len(names) == 1 and not any(
        isinstance(row, dict) and set(row) == set(names) for row in instances
    ):
        return {names[0]: instances}
    for index, row in enumerate(instances):
        if not isinstance(row, dict) or set(row) != set(names):
            raise ApiError(400, f"instances[{index}] must be an object with {' and '.join(names)}.")
    return {name: [row[name] for row in instances] for name in names}


def _columns_of_inputs(inputs: object, names: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(inputs, dict) and set(inputs) == set(names):
        return inputs
    if len(names) == 1 and not isinstance(inputs, dict):
        return {names[0]: inputs}
    raise ApiError(400, f"inputs must be an object with {' and '.join(names)}.")


def _signature_def(signature: Signature, manifest: ModelManifest) -> dict[str, Any]:
    input_type: tuple[str, tuple[str, ...]]
    embedding = ("DT_FLOAT", ("-1", str(manifest.embedding_size)))
    if signature == "measure":
        input_type = embedding
    elif manifest.inputs.kind == "image":
        input_type = ("DT_STRING", ("-1",))
    else:
        input_type = ("DT_FLOAT", ("-1", str(manifest.inputs.shape.shape[0])))
    row: tuple[str, ...] = ("-1",)
    output_types = {
        "embedding": embedding,
        "distance": ("DT_FLOAT", row),
        "same": ("DT_BOOL", row),
        "threshold": ("DT_FLOAT", row),
    }
    return {
        "inputs": {
            name: _tensor_info(name, input_type)
            for name in _input_names(signature, manifest.inputs)
        },
        "outputs": {
            name: _tensor_info(name, output_types[name]) for name in _OUTPUT_NAMES[signature]
        },
        "method_name": "tensorflow/serving/predict",
    }


def _tensor_info(name: str, tensor_type: tuple[str, tuple[str, ...]]) -> dict[str, Any]:
    dtype, sizes = tensor_type
    return {
        "dtype": dtype,
        "name": name,
        "tensor_shape": {
            "dim": [{"size": size, "name": ""} for size in sizes],
            "unknown_rank": False,
        },
    }
