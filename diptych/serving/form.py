"""A form with pictures (``multipart/form-data``, RFC 7578), from a body that is read already."""

import dataclasses
from email.message import Message
from email.parser import BytesHeaderParser

from diptych.serving.http_errors import Refusal
from diptych.serving.request_limits import MAX_EXAMPLES

_MAX_PARTS = MAX_EXAMPLES + 8
_MAX_HEAD = 4096  # bytes


@dataclasses.dataclass(frozen=True)
class Field:
    """One field; ``filename`` is empty unless a file was chosen."""

    name: str
    filename: str
    content: bytes


def read_form(body: bytes, content_type: str) -> list[Field]:
    """The fields of a form, in their order.

    Raises:
      Refusal: it is no such form, or has too many fields.
    """
    head = Message()
    head["content-type"] = content_type
    boundary = head.get_param("boundary")
    if not isinstance(boundary, str) or not 1 <= len(boundary) <= 70 or not boundary.isascii():
        raise Refusal(400, "The form has no boundary in its Content-Type.")
    mark = b"\r\n--" + boundary.encode("ascii")
    parts = (b"\r\n" + body).split(mark, _MAX_PARTS + 2)
    if len(parts) > _MAX_PARTS + 2:
        raise Refusal(413, f"The form has more than {_MAX_PARTS} fields.")
    if len(parts) < 3 or not parts[-1].startswith(b"--"):
        raise Refusal(400, "The form is cut off, or does not fit its boundary.")
    return [_field(part) for part in parts[1:-1]]


def _field(part: bytes) -> Field:
    head, blank, content = part.partition(b"\r\n\r\n")
    if not blank or len(head) > _MAX_HEAD:
        raise Refusal(400, "A field of the form has no head, or one that is too long.")
    about = BytesHeaderParser().parsebytes(head.lstrip(b"\r\n"))
    name = about.get_param("name", header="content-disposition")
    if not isinstance(name, str):
        raise Refusal(400, "A field of the form has no name.")
    filename = about.get_filename("")
    return Field(name, filename if isinstance(filename, str) else "", content)
