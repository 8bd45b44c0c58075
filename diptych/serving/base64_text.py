"""Bytes of a file as text in JSON: base64 in the forms that common tools write, and data URLs."""

import binascii
import contextlib
import re
from urllib.parse import unquote_to_bytes

# RFC 4648 (both alphabets), after the ASCII white space with which MIME and PEM wrap lines.
_WHITE_SPACE = b" \t\r\n\f\v"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_INVALID = re.compile(rb"[^A-Za-z0-9+/]")
_DATA_URL = "data:"
_MAX_HEADER = 256  # media type and parameters of a data URL
_SHOWN_HEADER = 60


def decode_base64(text: str, max_bytes: int) -> bytes:
    """Decode base64, or a data URL such as ``data:image/png;base64,iVBORw0...``.

    Lines may be wrapped, the padding may be missing, and both alphabets are accepted. The media
    type of a data URL is ignored.

    Args:
      text: The encoded bytes.
      max_bytes: Limit of the decoded size, which is checked before decoding.

    Raises:
      ValueError: If the text is neither, or has more bytes; the message follows a name.
    """
    payload = text.strip()
    is_data_url = payload[: len(_DATA_URL)].lower() == _DATA_URL
    if is_data_url:
        payload = _payload_of_data_url(payload)
    try:
        symbols = payload.encode("ascii")
    except UnicodeEncodeError as error:
        raise ValueError(_describe_character(payload[error.start])) from None
    if is_data_url:  # + / and = may be percent-encoded
        symbols = unquote_to_bytes(symbols)
    symbols = symbols.translate(_URL_SAFE, _WHITE_SPACE)
    padded = len(symbols)
    symbols = symbols.rstrip(b"=")
    padding = padded - len(symbols)
    if len(symbols) * 3 // 4 > max_bytes:
        raise ValueError(f"is larger than {max_bytes} bytes (data.max_bytes).")
    is_padded = not padding or (padding <= 2 and padded % 4 == 0)
    if is_padded and len(symbols) % 4 != 1:
        with contextlib.suppress(binascii.Error):
            return binascii.a2b_base64(symbols + b"=" * (-len(symbols) % 4), strict_mode=True)
    invalid = _INVALID.search(symbols)
    if invalid is not None:
        raise ValueError(_describe_character(invalid[0].decode("latin-1")))
    raise ValueError(
        f"is not valid base64: {len(symbols)} characters with {padding} of padding. It may be "
        "truncated."
    )


def _payload_of_data_url(url: str) -> str:
    header, comma, payload = url[:_MAX_HEADER].partition(",")
    if not comma:
        raise ValueError(
            f"is not a valid data URL: no comma in its first {_MAX_HEADER} characters. Expected "
            "data:image/png;base64, and the bytes."
        )
    if header.rpartition(";")[2].strip().lower() != "base64":
        raise ValueError(
            f"is a data URL without base64, {header[:_SHOWN_HEADER]!r}. Expected "
            "data:image/png;base64, and the bytes."
        )
    return payload + url[_MAX_HEADER:]


def _describe_character(character: str) -> str:
    return f"is not valid base64: it contains the character {character!r}."
