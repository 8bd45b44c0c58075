import base64
import textwrap
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.serving.base64_text import decode_base64

CONTENT = bytes(range(256)) + b"\xfb\xff\xfe"  # with the symbols + and /


def wrap(text, width, end):
    return end.join(textwrap.wrap(text, width)) + end


@settings(deadline=None)
@given(
    content=st.binary(max_size=300),
    url_safe=st.booleans(),
    padded=st.booleans(),
    end=st.sampled_from(["", "\n", "\r\n", " ", "\n\t"]),
    width=st.integers(1, 80),
    header=st.sampled_from(
        [
            "",
            "data:image/png;base64,",
            "DATA:image/jpeg;Base64,",
            "data:;base64,",
            "data:image/svg+xml;charset=utf-8;base64,",
            " data:application/octet-stream;base64, ",
        ]
    ),
    escaped=st.booleans(),
)
def test_every_form_of_base64_is_decoded(content, url_safe, padded, end, width, header, escaped):
    encode = base64.urlsafe_b64encode if url_safe else base64.b64encode
    text = encode(content).decode()
    text = text if padded else text.rstrip("=")
    if end:
        text = wrap(text, width, end)
    if header and escaped:
        text = quote(text, safe="")
    assert decode_base64(header + text, max_bytes=300) == content


@pytest.mark.parametrize(
    "encode",
    [
        lambda content: base64.encodebytes(content).decode(),  # MIME
        lambda content: base64.urlsafe_b64encode(content).decode().rstrip("="),  # JWT
        lambda content: f"data:image/png;base64,{base64.b64encode(content).decode()}",
    ],
)
def test_the_output_of_common_tools_is_decoded(encode):
    assert decode_base64(encode(CONTENT), len(CONTENT)) == CONTENT


@settings(deadline=None)
@given(st.text(max_size=80) | st.from_regex(r"\s*[dD]ata:[a-zA-Z0-9+/=;,%\s]*", fullmatch=True))
def test_any_text_is_decoded_or_rejected_with_a_reason(text):
    try:
        decode_base64(text, 100)
    except ValueError as error:
        assert str(error).startswith("is ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("QUJ", None),
        ("QUJD", None),
        ("A", "1 characters with 0 of padding. It may be truncated"),
        ("QUJDR", "5 characters with 0 of padding"),
        ("QUJ==", "3 characters with 2 of padding"),
        ("QQ=", "2 characters with 1 of padding"),
        ("QUJD====", "4 characters with 4 of padding"),
        ("QU=JD", "it contains the character '='"),
        ("QUJ!", "it contains the character '!'"),
        ("QU\u00a0J", "it contains the character '\\xa0'"),
        ("QUJ%", "it contains the character '%'"),
        ("QU\x00J", r"it contains the character '\x00'"),
        ("data:image/png,QUJD", "a data URL without base64, 'data:image/png'"),
        ("data:image/png;base64", "no comma in its first 256 characters"),
        ("data:image/png;base64,QU%FFJ", "it contains the character '\u00ff'"),
        ("http://a.example/b.png", "it contains the character ':'"),
    ],
)
def test_the_reason_names_what_is_wrong(text, message):
    if message is None:
        assert decode_base64(text, 100) == b"ABC"[: len(text) * 3 // 4]
        return
    with pytest.raises(ValueError) as raised:
        decode_base64(text, 100)
    assert message in str(raised.value)


@pytest.mark.parametrize("num_bytes", [1, 2, 3, 4])
def test_the_limit_is_exact_and_ignores_white_space(num_bytes):
    encoded = base64.b64encode(bytes(num_bytes)).decode()
    wrapped = "\n".join(encoded) + " " * 100
    assert decode_base64(wrapped, num_bytes) == bytes(num_bytes)
    with pytest.raises(ValueError, match=f"is larger than {num_bytes - 1} bytes"):
        decode_base64(wrapped, num_bytes - 1)
