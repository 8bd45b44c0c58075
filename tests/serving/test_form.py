import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.serving.form import FormField, parse_form
from diptych.serving.http_errors import ApiError

CONTENT_TYPE = "multipart/form-data; boundary=x"


@given(contents=st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_fields_of_a_client_are_parsed_unchanged(contents):
    files = [("picture", (f"{index}.png", content)) for index, content in enumerate(contents)]
    request = httpx.Request("POST", "http://x", data={"label": "wren ü"}, files=files)
    fields = parse_form(request.read(), request.headers["content-type"])
    assert fields[0] == FormField("label", "", "wren ü".encode())
    assert fields[1:] == [
        FormField("picture", f"{index}.png", content) for index, content in enumerate(contents)
    ]


@given(body=st.binary(max_size=100), boundary=st.text('ab"\\;\u00fc ', max_size=8))
def test_any_body_is_parsed_or_rejected(body, boundary):
    mark = boundary.encode()
    for content in (body, b"--" + mark + b"\r\n" + body + b"\r\n--" + mark + b"--\r\n"):
        try:
            parse_form(content, f"multipart/form-data; boundary={boundary!r}")
        except ApiError as error:
            assert error.status_code in (400, 413)


@pytest.mark.parametrize(
    "options", ["*=bogus'x'%ff", "*0*=utf-7''%ff", "*=", "*0=a; filename*1*=''b", "*x=1"]
)
def test_extended_parameters_are_ignored(options):  # RFC 7578, section 4.2 forbids them
    disposition = f"form-data; name=a; filename{options}; name{options}"
    body = f"--x\r\nContent-Disposition: {disposition}\r\n\r\n1\r\n--x--\r\n".encode()
    assert parse_form(body, f"{CONTENT_TYPE}; boundary{options}") == [FormField("a", "", b"1")]
    with pytest.raises(ApiError, match="no valid boundary"):
        parse_form(body, f"multipart/form-data; boundary{options}")


def test_too_many_fields_are_rejected():
    body = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * 500 + b"--x--\r\n"
    with pytest.raises(ApiError, match="more than"):
        parse_form(body, CONTENT_TYPE)


def test_an_incomplete_form_is_rejected():
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1'
    with pytest.raises(ApiError, match="incomplete"):
        parse_form(body, CONTENT_TYPE)


@pytest.mark.parametrize(
    "headers", [b"X: " + b"a" * 5000, b"\r\n".join(b"X: " + b"a" * 900 for _ in range(5))]
)
def test_headers_that_are_too_large_are_rejected(headers):
    head = b"Content-Disposition: form-data; name=a\r\n" + headers
    body = b"--x\r\n" + head + b"\r\n\r\n1\r\n--x--\r\n"
    with pytest.raises(ApiError) as raised:
        parse_form(body, CONTENT_TYPE)
    assert raised.value.status_code == 400


@pytest.mark.parametrize(
    ("content_type", "head", "message"),
    [
        ("multipart/form-data", b"Content-Disposition: form-data; name=a", "no valid boundary"),
        (CONTENT_TYPE, b"Content-Disposition: form-data", "no name"),
        (CONTENT_TYPE, b"Content-Type: image/png", "no name"),
    ],
)
def test_a_form_without_boundary_or_name_is_rejected(content_type, head, message):
    with pytest.raises(ApiError, match=message):
        parse_form(b"--x\r\n" + head + b"\r\n\r\n1\r\n--x--\r\n", content_type)
