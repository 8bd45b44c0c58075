import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.serving.form import Field, read_form
from diptych.serving.http_errors import Refusal


@given(contents=st.lists(st.binary(max_size=60), min_size=1, max_size=4))
def test_fields_come_out_as_a_client_put_them_in(contents):
    files = [("picture", (f"{at}.png", content)) for at, content in enumerate(contents)]
    request = httpx.Request("POST", "http://x", data={"label": "wren ü"}, files=files)
    found = read_form(request.read(), request.headers["content-type"])
    assert found[0] == Field("label", "", "wren ü".encode())
    assert found[1:] == [
        Field("picture", f"{at}.png", content) for at, content in enumerate(contents)
    ]


@given(body=st.binary(max_size=100), boundary=st.text('ab"\\;\u00fc ', max_size=8))
def test_whatever_comes_is_a_form_or_refused(body, boundary):
    mark = boundary.encode()
    for content in (body, b"--" + mark + b"\r\n" + body + b"\r\n--" + mark + b"--\r\n"):
        try:
            read_form(content, f"multipart/form-data; boundary={boundary!r}")
        except Refusal as refusal:
            assert refusal.status in (400, 413)


def test_too_many_fields_are_refused():
    body = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n" * 500 + b"--x--\r\n"
    with pytest.raises(Refusal, match="more than"):
        read_form(body, "multipart/form-data; boundary=x")


def test_a_form_that_is_cut_off_is_refused():
    body = b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1'
    with pytest.raises(Refusal, match="cut off"):
        read_form(body, "multipart/form-data; boundary=x")
