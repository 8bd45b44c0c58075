"""How much a request may hold, and its JSON read within that."""

import dataclasses
import json
from typing import Any, NoReturn

from diptych.schemas.input_spec import Inputs
from diptych.serving.http_errors import Refusal

MAX_EXAMPLES = 256  # of a request
_BYTES_OF_A_NUMBER = 32  # as JSON writes it, with a comma and spaces
_ROOM = 65_536  # for names, labels and the heads of a form


@dataclasses.dataclass(frozen=True)
class Bounds:
    """Of one request.

    Args:
      body: bytes.
      values: commas and brackets of JSON. Python needs up to 60 bytes for ``[]``, so that bytes
        alone would not bound the memory.
    """

    body: int
    values: int

    @classmethod
    def of(cls, inputs: Inputs, embedding_size: int, max_bytes: int) -> "Bounds":
        """For a model: two pictures of the largest size, or as many vectors as may come."""
        if inputs.kind == "image":
            # base64 writes 4 characters for 3 bytes
            return cls(
                body=2 * (max_bytes * 4 // 3) + _ROOM + MAX_EXAMPLES * embedding_size * 64,
                values=MAX_EXAMPLES * (2 * embedding_size + 8),
            )
        numbers = MAX_EXAMPLES * 2 * max(inputs.shape.shape[0], embedding_size)
        return cls(body=numbers * _BYTES_OF_A_NUMBER + _ROOM, values=numbers + MAX_EXAMPLES * 8)


def read_json(body: bytes, bounds: Bounds) -> dict[str, Any]:
    """The object of a body.

    Raises:
      Refusal: it is none, or it has more values than any request needs.
    """
    marks = sum(body.count(mark) for mark in (b",", b"[", b"{"))
    if marks > bounds.values:
        raise Refusal(413, f"The JSON has more than {bounds.values} values.")
    try:
        content = json.loads(body.decode("utf-8"), parse_constant=_no_number)
    except UnicodeDecodeError:
        raise Refusal(400, "JSON Parse error: the body is not UTF-8.") from None
    except RecursionError:
        raise Refusal(400, "JSON Parse error: nested too deeply.") from None
    except ValueError as error:  # also of a whole number of more than 4,300 digits
        raise Refusal(400, f"JSON Parse error: {error}") from None
    if not isinstance(content, dict):
        raise Refusal(400, f"The body must be a JSON object, it is {name_of(content)}.")
    return content


def name_of(value: object) -> str:
    """What JSON calls it."""
    names: dict[type, str] = {
        dict: "an object",
        list: "an array",
        str: "a string",
        bool: "a boolean",
        int: "a number",
        float: "a number",
    }
    return names.get(type(value), "null")


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is not a number that the model takes")
