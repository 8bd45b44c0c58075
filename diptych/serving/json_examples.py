"""Convert JSON values to raw examples and embeddings."""

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.inference.raw_images import limits_of_model
from diptych.schemas.manifest import ModelManifest
from diptych.serving.base64_text import decode_base64
from diptych.serving.http_errors import ApiError
from diptych.serving.request_limits import MAX_EXAMPLES, json_type_name

RawExamples = list[bytes] | np.ndarray
"""(n,) encoded images, or (n, d) float32 vectors."""


def parse_json_examples(values: object, manifest: ModelManifest, name: str) -> RawExamples:
    """Convert a JSON array to raw examples.

    Args:
      values: Parsed JSON.
      manifest: Manifest of the model.
      name: Name of the array in error messages.

    Raises:
      ApiError: If the values are not valid inputs of the model, or too many.
    """
    if manifest.inputs.kind == "image":
        items = _check_example_array(values, name)
        max_bytes = limits_of_model(manifest).max_bytes
        return [_parse_image(item, max_bytes, f"{name}[{i}]") for i, item in enumerate(items)]
    return parse_json_vectors(values, manifest.inputs.shape.shape[0], name)


def parse_json_vectors(values: object, size: int, name: str) -> np.ndarray:
    """Convert a JSON array of arrays of finite numbers to (n, size) float32."""
    items = _check_example_array(values, name)
    for index, item in enumerate(items):
        if not isinstance(item, list):
            raise ApiError(
                400,
                f"{name}[{index}] must be an array of {size} numbers, got {json_type_name(item)}.",
            )
        if len(item) != size:
            raise ApiError(400, f"{name}[{index}] must have {size} numbers, it has {len(item)}.")
        if not set(map(type, item)) <= {int, float}:
            invalid = next(value for value in item if type(value) not in (int, float))
            raise ApiError(
                400, f"{name}[{index}] must contain numbers, it contains {json_type_name(invalid)}."
            )
    try:
        with np.errstate(over="ignore"):
            vectors = np.array(items, np.float64).astype(np.float32)
    except OverflowError:  # an integer with hundreds of digits
        vectors = np.array([[math.inf]], np.float32)
    if not np.isfinite(vectors).all():
        raise ApiError(400, f"{name} contains a number that is too large for float32.")
    return vectors


def _check_example_array(values: object, name: str) -> Sequence[Any]:
    if not isinstance(values, list):
        raise ApiError(400, f"{name} must be an array, got {json_type_name(values)}.")
    if not 1 <= len(values) <= MAX_EXAMPLES:
        raise ApiError(
            400, f"{name} must contain 1 to {MAX_EXAMPLES} examples, it contains {len(values)}."
        )
    return values


def _parse_image(value: object, max_bytes: int, name: str) -> bytes:
    if not isinstance(value, dict) or set(value) != {"b64"} or not isinstance(value["b64"], str):
        got = (
            f"an object with {json.dumps(sorted(value)[:5])[:80]}"
            if isinstance(value, dict)
            else json_type_name(value)
        )
        raise ApiError(
            400, f'{name} must be {{"b64": "..."}} with the bytes of an image, got {got}.'
        )
    try:
        return decode_base64(value["b64"], max_bytes)
    except ValueError as error:
        raise ApiError(400, f"{name} {error}") from None
