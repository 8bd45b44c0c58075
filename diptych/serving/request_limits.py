"""Limits of a request, and JSON parsing within these limits."""

import dataclasses
import json
from typing import Any, NoReturn

from diptych.schemas.input_spec import InputSpec
from diptych.serving.http_errors import ApiError

MAX_EXAMPLES = 256  # per request
_BYTES_PER_NUMBER = 32  # in JSON, with a comma and spaces
_OVERHEAD_BYTES = 65_536  # names, labels and the headers of form fields


@dataclasses.dataclass(frozen=True)
class RequestLimits:
    """Limits of one request.

    Attributes:
      max_body_bytes: Size of the body.
      max_json_values: Number of commas and brackets in JSON. Python needs up to 60 bytes for
        ``[]``, so a limit on bytes alone would not bound the memory.
    """

    max_body_bytes: int
    max_json_values: int

    @classmethod
    def for_model(
        cls, inputs: InputSpec, embedding_size: int, max_image_bytes: int
    ) -> "RequestLimits":
        """Return the limits for two images of maximum size, or for ``MAX_EXAMPLES`` vectors."""
        if inputs.kind == "image":
            # 4 characters for 3 bytes, and in JSON, up to 4 for the end of a line of 64.
            base64_bytes = max_image_bytes * 4 // 3 * 17 // 16
            return cls(
                max_body_bytes=2 * base64_bytes
                + _OVERHEAD_BYTES
                + MAX_EXAMPLES * embedding_size * 64,
                max_json_values=MAX_EXAMPLES * (2 * embedding_size + 8),
            )
        num_numbers = MAX_EXAMPLES * 2 * max(inputs.shape.shape[0], embedding_size)
        return cls(
            max_body_bytes=num_numbers * _BYTES_PER_NUMBER + _OVERHEAD_BYTES,
            max_json_values=num_numbers + MAX_EXAMPLES * 8,
        )


def parse_json_object(body: bytes, limits: RequestLimits) -> dict[str, Any]:
    """Parse a body that must be a JSON object.

    Raises:
      ApiError: If it is not a JSON object, or has more values than any valid request.
    """
    num_values = sum(body.count(mark) for mark in (b",", b"[", b"{"))
    if num_values > limits.max_json_values:
        raise ApiError(413, f"The JSON has more than {limits.max_json_values} values.")
    try:
        content = json.loads(body.decode("utf-8"), parse_constant=_reject_constant)
    except UnicodeDecodeError:
        raise ApiError(400, "JSON Parse error: the body is not UTF-8.") from None
    except RecursionError:
        raise ApiError(400, "JSON Parse error: nested too deeply.") from None
    except ValueError as error:  # also raised for integers of more than 4,300 digits
        raise ApiError(400, f"JSON Parse error: {error}") from None
    # Half of a surrogate pair, which no response, label or file could repeat. Real ones are rare.
    if b"\\ud" in body.lower() and not _is_unicode(content):
        raise ApiError(400, "JSON Parse error: an escaped character is not valid Unicode.")
    if not isinstance(content, dict):
        raise ApiError(400, f"The body must be a JSON object, got {json_type_name(content)}.")
    return content


def json_type_name(value: object) -> str:
    """Return the JSON type of a parsed value, with an article."""
    names: dict[type, str] = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")


def _is_unicode(content: object) -> bool:
    try:
        json.dumps(content, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def _reject_constant(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not a valid number")
