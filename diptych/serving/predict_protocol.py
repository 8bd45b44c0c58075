"""The shape of TensorFlow Serving's REST interface, without a server.

https://www.tensorflow.org/tfx/serving/api_rest: requests in rows (``instances``) or columns
(``inputs``), their answers, status, metadata, and the words of its errors.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from diptych.schemas.input_spec import Inputs
from diptych.schemas.manifest import ModelManifest
from diptych.serving.http_errors import Refusal
from diptych.serving.json_examples import Raw, raw_examples, vectors
from diptych.serving.request_limits import MAX_EXAMPLES, name_of

Signature = Literal["embed", "compare", "measure"]
_OUTPUTS: dict[Signature, tuple[str, ...]] = {
    "embed": ("embedding",),
    "compare": ("distance", "same", "threshold"),
    "measure": ("distance", "same", "threshold"),
}
_DEFAULTS = ("", "serving_default")  # what a client names that does not choose


@dataclasses.dataclass(frozen=True, eq=False)
class Predict:
    """A request: which signature, with what, and whether it came in rows."""

    signature: Signature
    given: dict[str, Raw]  # by the name of the input
    in_rows: bool


def parse_predict(content: dict[str, Any], manifest: ModelManifest) -> Predict:
    """Reads the body of ``:predict``.

    Raises:
      Refusal: it is not such as the signature takes.
    """
    signature = _signature(content.get("signature_name", ""))
    names = _input_names(signature, manifest.inputs)
    if ("instances" in content) == ("inputs" in content):
        both = "both" if "inputs" in content else "neither"
        raise Refusal(400, f"The request needs either 'instances' or 'inputs', it has {both}.")
    in_rows = "instances" in content
    if in_rows:
        columns = _columns_of_rows(content["instances"], names)
    else:
        columns = _columns(content["inputs"], names)
    given = {
        name: vectors(values, manifest.embedding_size, name)
        if signature == "measure"
        else raw_examples(values, manifest.inputs, name)
        for name, values in columns.items()
    }
    if len({len(values) for values in given.values()}) > 1:
        raise Refusal(400, f"All of {', '.join(names)} must hold as many examples.")
    return Predict(signature, given, in_rows)


def answer_predict(request: Predict, outputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """The body of the answer; a signature with one output gives it without its name."""
    columns = {name: values.tolist() for name, values in outputs.items()}
    if not request.in_rows:
        bare = next(iter(columns.values())) if len(columns) == 1 else columns
        return {"outputs": bare}
    if len(columns) == 1:
        return {"predictions": next(iter(columns.values()))}
    rows = zip(*columns.values(), strict=True)
    return {"predictions": [dict(zip(columns, row, strict=True)) for row in rows]}


def status_of(versions: Sequence[tuple[int, str]]) -> dict[str, Any]:
    """Of versions, each with the reason why it cannot be used, or an empty one."""
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


def metadata(manifest: ModelManifest) -> dict[str, Any]:
    """Signatures with the types and shapes of their inputs and outputs."""
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
                    "serving_default": _describe("embed", manifest),
                    **{name: _describe(name, manifest) for name in signatures},
                }
            }
        },
    }


def unknown_model(name: str, version: int | None = None) -> Refusal:
    """As TensorFlow Serving words it."""
    wanted = f"Latest({name})" if version is None else f"Specific({name}, {version})"
    return Refusal(404, f"Servable not found for request: {wanted}")


def _signature(name: object) -> Signature:
    if name in _DEFAULTS:
        return "embed"
    for known in _OUTPUTS:
        if name == known:
            return known
    if not isinstance(name, str):
        raise Refusal(400, f"signature_name must be a string, it is {name_of(name)}.")
    raise Refusal(
        400,
        f'Serving signature name: "{name[:80]}" not found in signature def. '
        f"There are {', '.join(_OUTPUTS)}.",
    )


def _input_names(signature: Signature, inputs: Inputs) -> tuple[str, ...]:
    return (inputs.kind,) if signature == "embed" else ("left", "right")


def _columns_of_rows(instances: object, names: tuple[str, ...]) -> dict[str, list[Any]]:
    if not isinstance(instances, list):
        raise Refusal(400, f"instances must be an array, it is {name_of(instances)}.")
    if len(instances) > MAX_EXAMPLES:
        raise Refusal(
            400, f"instances must hold at most {MAX_EXAMPLES}, it holds {len(instances)}."
        )
    if len(names) == 1 and not any(
        isinstance(row, dict) and set(row) == set(names) for row in instances
    ):
        return {names[0]: instances}
    for at, row in enumerate(instances):
        if not isinstance(row, dict) or set(row) != set(names):
            raise Refusal(400, f"instances[{at}] must be an object with {' and '.join(names)}.")
    return {name: [row[name] for row in instances] for name in names}


def _columns(given: object, names: tuple[str, ...]) -> dict[str, Any]:
    if isinstance(given, dict) and set(given) == set(names):
        return given
    if len(names) == 1 and not isinstance(given, dict):
        return {names[0]: given}
    raise Refusal(400, f"inputs must be an object with {' and '.join(names)}.")


def _describe(signature: Signature, manifest: ModelManifest) -> dict[str, Any]:
    given: tuple[str, tuple[str, ...]]
    embedding = ("DT_FLOAT", ("-1", str(manifest.embedding_size)))
    if signature == "measure":
        given = embedding
    elif manifest.inputs.kind == "image":
        given = ("DT_STRING", ("-1",))
    else:
        given = ("DT_FLOAT", ("-1", str(manifest.inputs.shape.shape[0])))
    row: tuple[str, ...] = ("-1",)
    kinds = {
        "embedding": embedding,
        "distance": ("DT_FLOAT", row),
        "same": ("DT_BOOL", row),
        "threshold": ("DT_FLOAT", row),
    }
    return {
        "inputs": {name: _tensor(name, given) for name in _input_names(signature, manifest.inputs)},
        "outputs": {name: _tensor(name, kinds[name]) for name in _OUTPUTS[signature]},
        "method_name": "tensorflow/serving/predict",
    }


def _tensor(name: str, kind: tuple[str, tuple[str, ...]]) -> dict[str, Any]:
    dtype, sizes = kind
    return {
        "dtype": dtype,
        "name": name,
        "tensor_shape": {
            "dim": [{"size": size, "name": ""} for size in sizes],
            "unknown_rank": False,
        },
    }
