"""Forms: the content type in the first line, then the body."""

from diptych.serving.form import parse_form
from diptych.serving.http_errors import ApiError

from .scratch import check_message

TOKENS = (b"multipart/form-data", b"boundary=", b"Content-Disposition: form-data; name=", b"\r\n--")
_BOUNDARY = b"--again"


def check(data):
    """Refusals: ``ApiError`` with status 400 or 413."""
    head, _, body = data.partition(b"\n")
    try:
        fields = parse_form(body, head.decode("latin-1"))
    except ApiError as error:
        assert error.status_code in (400, 413)
        check_message(error.detail)
        return
    contents = [field.content for field in fields]
    if not any(_BOUNDARY in content for content in contents):  # it would end a content early
        again = parse_form(_join(contents), "multipart/form-data; boundary=again")
        assert [field.content for field in again] == contents


def _join(contents):
    head = _BOUNDARY + b"\r\nContent-Disposition: form-data; name=a\r\n\r\n"
    return b"".join(head + content + b"\r\n" for content in contents) + _BOUNDARY + b"--\r\n"
