"""Forms with images (``multipart/form-data``, RFC 7578), parsed in memory within limits."""

import dataclasses

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from diptych.serving.http_errors import ApiError
from diptych.serving.request_limits import MAX_EXAMPLES

_MAX_FIELDS = MAX_EXAMPLES + 8
_MAX_HEADER_BYTES = 4096  # of all headers of a field


@dataclasses.dataclass(frozen=True)
class FormField:
    """A field; ``filename`` is empty unless it is a file."""

    name: str
    filename: str
    content: bytes


def parse_form(body: bytes, content_type: str) -> list[FormField]:
    """Parse the fields of a form, in their order.

    The body is already in memory and its size is limited, so this does not use Starlette's parser,
    which writes every image to a temporary file.

    Raises:
      ApiError: If the body is not a valid form, or has too many fields.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary", b"")
    if not boundary or not boundary.isascii():
        raise ApiError(400, "The Content-Type of the form has no valid boundary.")
    collector = _FieldCollector()
    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": collector.begin_field,
                "on_header_field": collector.add_header_name,
                "on_header_value": collector.add_header_value,
                "on_header_end": collector.end_header,
                "on_part_data": collector.add_content,
                "on_part_end": collector.end_field,
                "on_end": collector.end_form,
            },
            max_header_size=_MAX_HEADER_BYTES,
        )
        parser.write(body)
    except FormParserError as error:
        raise ApiError(400, f"The form is malformed: {error}.") from None
    if not collector.is_complete:
        raise ApiError(400, "The form is incomplete: its last boundary is missing.")
    return collector.fields


class _FieldCollector:
    """Callbacks of the parser."""

    def __init__(self) -> None:
        self.fields: list[FormField] = []
        self.is_complete = False
        self._content = bytearray()
        self._disposition = b""
        self._header_name, self._header_value = b"", b""
        self._header_bytes = 0

    def begin_field(self) -> None:
        if len(self.fields) == _MAX_FIELDS:
            raise ApiError(413, f"The form has more than {_MAX_FIELDS} fields.")
        self._content = bytearray()
        self._disposition = b""
        self._header_bytes = 0

    def add_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._header_name += data[start:end]

    def add_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._header_value += data[start:end]

    def end_header(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            self._disposition = self._header_value
        self._header_name, self._header_value = b"", b""

    def add_content(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def end_field(self) -> None:
        # parse_options_header decodes bytes as Latin-1 and encodes them again: UTF-8 is unchanged.
        _, options = parse_options_header(self._disposition)
        if b"name" not in options:
            raise ApiError(400, "A field of the form has no name.")
        name, filename = (
            options.get(key, b"").decode("utf-8", "replace") for key in (b"name", b"filename")
        )
        self.fields.append(FormField(name, filename, bytes(self._content)))

    def end_form(self) -> None:
        self.is_complete = True

    def _count_header_bytes(self, num_bytes: int) -> None:
        self._header_bytes += num_bytes
        if self._header_bytes > _MAX_HEADER_BYTES:
            raise ApiError(
                400, f"The headers of a form field are larger than {_MAX_HEADER_BYTES} bytes."
            )
