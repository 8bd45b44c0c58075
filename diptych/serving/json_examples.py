"""Raw examples and embeddings out of JSON values."""

import base64
import binascii
import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from diptych.schemas.input_spec import Inputs
from diptych.serving.http_errors import Refusal
from diptych.serving.request_limits import MAX_EXAMPLES, name_of

Raw = list[bytes] | np.ndarray
"""(n,) encoded images, or (n, d) float32 vectors."""


def raw_examples(values: object, inputs: Inputs, name: str) -> Raw:
    """The raw examples of an array.

    Args:
      values: as JSON gave them.
      inputs: what the model takes.
      name: of the array, for the reason.

    Raises:
      Refusal: they are not such as the model takes, or too many.
    """
    if inputs.kind == "image":
        items = _some(values, name)
        return [_bytes(item, f"{name}[{at}]") for at, item in enumerate(items)]
    return vectors(values, inputs.shape.shape[0], name)


def vectors(values: object, size: int, name: str) -> np.ndarray:
    """(n, size) float32 of an array of arrays of finite numbers."""
    items = _some(values, name)
    for at, item in enumerate(items):
        if not isinstance(item, list):
            raise Refusal(
                400, f"{name}[{at}] must be an array of {size} numbers, it is {name_of(item)}."
            )
        if len(item) != size:
            raise Refusal(400, f"{name}[{at}] must have {size} numbers, it has {len(item)}.")
        if not set(map(type, item)) <= {int, float}:
            wrong = next(value for value in item if type(value) not in (int, float))
            raise Refusal(400, f"{name}[{at}] must hold numbers, it holds {name_of(wrong)}.")
    try:
        with np.errstate(over="ignore"):
            found = np.array(items, np.float64).astype(np.float32)
    except OverflowError:  # a whole number of hundreds of digits
        found = np.array([[math.inf]], np.float32)
    if not np.isfinite(found).all():
        raise Refusal(400, f"{name} holds a number that is too large for 32 bits.")
    return found


def _some(values: object, name: str) -> Sequence[Any]:
    if not isinstance(values, list):
        raise Refusal(400, f"{name} must be an array, it is {name_of(values)}.")
    if not 1 <= len(values) <= MAX_EXAMPLES:
        raise Refusal(
            400, f"{name} must hold 1 to {MAX_EXAMPLES} examples, it holds {len(values)}."
        )
    return values


def _bytes(value: object, name: str) -> bytes:
    if not isinstance(value, dict) or set(value) != {"b64"} or not isinstance(value["b64"], str):
        came = (
            f"an object with {json.dumps(sorted(value)[:5])[:80]}"
            if isinstance(value, dict)
            else name_of(value)
        )
        raise Refusal(
            400, f'{name} must be {{"b64": "..."}} with the bytes of a picture, it is {came}.'
        )
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise Refusal(400, f"{name} is not base64: {error}.") from None
