"""Recognize the format of a file by its content, from its first bytes.

Packages that recognize hundreds of formats (puremagic 2.2) are worse at the few that lie next to
photos: AVIF is an MPEG-4 video, every zip an Office document, and some HEIC files are unknown.
"""

import re
from collections.abc import Sequence

HEAD_BYTES = 4096
"""Number of bytes from the start of a file that suffice to recognize its format."""

IMAGE_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WebP", "TIFF", "PNM")
"""Formats of images that Diptych reads."""

_IMAGES: Sequence[tuple[str, re.Pattern[bytes]]] = [
    (name, re.compile(pattern, re.DOTALL))
    for name, pattern in (
        ("PNG", rb"\x89PNG\r\n\x1a\n"),
        ("JPEG", rb"\xff\xd8\xff"),
        ("GIF", rb"GIF8[79]a"),
        ("WebP", rb"RIFF....WEBP"),
        # The size of the second header is one of the versions of the format: "BM" alone is text.
        ("BMP", rb"BM.{12}[\x0c\x28\x34\x38\x40\x6c\x7c]\0\0\0"),
        # After the camera formats that start as a TIFF, see _OTHERS; 43 marks a BigTIFF.
        ("TIFF", rb"II[\x2a\x2b]\0(?!.{4}CR)|MM\0[\x2a\x2b]"),
        ("PNM", rb"P[1-6]\s(\s|#[^\n]*\n)*[0-9]"),
    )
]
_TO_PNG = "convert it to PNG or JPEG"
_NOT_AN_IMAGE = "not an image"

# Name with its article, the pattern, and what to do. The last is None for files that are no images.
_OTHERS: Sequence[tuple[str, re.Pattern[bytes], str | None]] = [
    (name, re.compile(pattern, re.DOTALL), remedy)
    for name, pattern, remedy in (
        ("an AVIF image", rb"....ftyp(avif|avis|....(....){1,8}?avi[fs])", _TO_PNG),
        ("a HEIC image", rb"....ftyp(hei[cxms]|hev[cxms]|mif1|msf1)", _TO_PNG),
        ("a video", rb"....ftyp|RIFF....AVI |\x1a\x45\xdf\xa3", None),
        ("a JPEG 2000 image", rb"\0\0\0\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51", _TO_PNG),
        ("a JPEG XL image", rb"\xff\x0a|\0\0\0\x0cJXL \r\n\x87\n", _TO_PNG),
        ("a Photoshop image", rb"8BPS\0[\x01\x02]", _TO_PNG),
        ("a GIMP image", rb"gimp xcf", _TO_PNG),
        ("an OpenEXR image", rb"\x76\x2f\x31\x01", _TO_PNG),
        ("a Radiance image", rb"#\?(RADIANCE|RGBE)\n", _TO_PNG),
        ("a DICOM image", rb".{128}DICM", _TO_PNG),
        ("a DirectDraw image", rb"DDS \x7c\0\0\0", _TO_PNG),
        ("an icon", rb"\0\0[\x01\x02]\0[\x01-\x40]\0.{3}\0[\0\x01]\0", _TO_PNG),
        ("a PAM or PFM image", rb"P7\n|P[fF]\s+[0-9]", _TO_PNG),
        ("a raw camera image", rb"II[\x2a]\0.{4}CR|FUJIFILMCCD-RAW|IIU\0|IIRO|MMOR", _TO_PNG),
        ("an SVG image", rb"(\xef\xbb\xbf)?\s*(<[?!][^>]*>\s*)*<(\w+:)?svg[\s>]", _TO_PNG),
        ("a PDF document", rb"%PDF-", None),
        ("a zip archive", rb"PK(\x03\x04|\x05\x06|\x07\x08)", None),
        ("a gzip archive", rb"\x1f\x8b", None),
        ("a 7z archive", rb"7z\xbc\xaf\x27\x1c", None),
        ("a RAR archive", rb"Rar!\x1a\x07", None),
        ("an xz archive", rb"\xfd7zXZ\0", None),
        ("a tar archive", rb".{257}ustar", None),
        ("a NumPy array", rb"\x93NUMPY", None),
        ("a Parquet table", rb"PAR1", None),
        ("an HDF5 file", rb"\x89HDF\r\n\x1a\n", None),
        ("an SQLite database", rb"SQLite format 3\0", None),
        # A pointer instead of the file: the content was never fetched.
        (
            "a pointer of Git LFS",
            rb"version https://git-lfs\.github\.com/spec/",
            "fetch the files with git lfs pull",
        ),
    )
]


def recognize_image(head: bytes) -> str | None:
    """Return the format of an image, one of ``IMAGE_FORMATS``; None for anything else.

    Args:
      head: The file, or its first ``HEAD_BYTES`` bytes.
    """
    for name, pattern in _IMAGES:
        if pattern.match(head):
            return name
    return None


def describe_other_file(head: bytes) -> tuple[str, bool]:
    """Describe a file that is not one of ``IMAGE_FORMATS``.

    Args:
      head: The file, or its first ``HEAD_BYTES`` bytes.

    Returns:
      The reason why it cannot be used, and whether it is an image in a format that Diptych does
      not read (which would be lost without a warning if it counted as some other file).
    """
    head = head[:HEAD_BYTES]
    for name, pattern, remedy in _OTHERS:
        if pattern.match(head):
            if remedy is None:
                return f"{_NOT_AN_IMAGE} but {name}", False
            return f"{name}, which Diptych does not read: {remedy}", True
    if not head:
        return "empty (0 bytes)", False
    if _is_text(head):
        return f"{_NOT_AN_IMAGE} but text", False
    return f"{_NOT_AN_IMAGE} of a known format", False


def format_list() -> str:
    """Return the formats of images for a message: ``PNG, JPEG, ... or PNM``."""
    *others, last = IMAGE_FORMATS
    return f"{', '.join(others)} or {last}"


def _is_text(head: bytes) -> bool:
    try:
        # The end may cut a character in two.
        text = head[: HEAD_BYTES - 4] if len(head) == HEAD_BYTES else head
        return "\0" not in text.decode()
    except UnicodeDecodeError as error:
        return error.reason == "unexpected end of data" and b"\0" not in head
