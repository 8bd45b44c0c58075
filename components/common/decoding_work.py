"""Limit the work of decoding an image, by its structure, before anything is decoded.

The size in the header does not show it: a JPEG of 300 kB can repeat a scan of all pixels thousands
of times, a PNG can contain texts that decompress to gigabytes, and the tags of a TIFF can all refer
to the same megabytes. Each limit is far above what programs write. The check walks through the
chunks, markers or blocks of a file, which takes a small part of the time of decoding.

Sources: the PNG specification, third edition, sections 5 and 11; ITU-T T.81, annex B (JPEG);
GIF89a; TIFF 6.0, section 2, and BigTIFF.
"""

import re
import struct
import zlib
from collections.abc import Callable, Iterator

# Of chunks, markers or extensions: some decoders take longer for each the more there are.
_MIN_PARTS, _BYTES_PER_PART = 10_000, 2_048
_MAX_SCANS = 32  # of the largest image; programs write at most 18
_MIN_PIXELS = 1_000_000  # smaller images may have more scans
_MAX_BLOCK_SIDE = 32  # pixels of a JPEG are decoded in blocks of 8 to 32
# Decoders decompress texts and profiles to at most 8 MB each, and deflate by at most 1032.
_MAX_TEXT_BYTES, _MAX_DEFLATE_RATIO = 8_000_000, 1032
_MAX_TEXTS_BYTES = 64_000_000
_MAX_UNSEEN_BYTES = 1_000_000_000  # decompressed in about a second
_INFLATED_BYTES = 1 << 20
_PNG_HEADER_BYTES, _PNG_CHANNELS = 33, {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_MAX_COMMENT_BYTES = 1_000_000
# In Python, Pillow decodes run lengths of BMP, PNM as text and unusual maxima: 2 MB/s.
_MAX_SLOW_BYTES = 8_000_000
_BMP_RUN_LENGTHS = (b"\1\0\0\0", b"\2\0\0\0")
_MAX_PNM_HEADER_BYTES = 65_536
_PNM_HEADER = re.compile(rb"P[1-6](?:(?:\s|#[^\r\n]*[\r\n])+([0-9]+)){2,3}")
_MAX_TIFF_PARTS = 100_000  # strips or tiles
_COMPRESSED_CHUNKS = (b"zTXt", b"iTXt", b"iCCP")
_SOS, _EOI = 0xDA, 0xD9
_NO_LENGTH = (0x01, *range(0xD0, 0xD9))
_FRAME_MARKERS = (*range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0))
_SEQUENTIAL = (0xC0, 0xC1, 0xC9)
_NEXT_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_TIFF_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_TIFF_TYPE_BYTES |= {13: 4, 16: 8, 17: 8, 18: 8}
_TIFF_OFFSETS = (273, 324)  # of strips and of tiles


def find_excessive_work(encoded: bytes, image_format: str, max_pixels: int) -> str | None:
    """Return why decoding would take too much time or memory, or None.

    A damaged file is not reported: its decoder does it.

    Args:
      encoded: The file.
      image_format: Its format, as returned by ``recognize_image``.
      max_pixels: Largest number of pixels of an image.
    """
    check = _CHECKS.get(image_format)
    problem = None if check is None else check(encoded, max_pixels)
    return (
        None
        if problem is None
        else f"a {image_format} with {problem}: save it again, for example as PNG"
    )


def _check_png(encoded: bytes, max_pixels: int) -> str | None:
    max_chunks = _MIN_PARTS + len(encoded) // _BYTES_PER_PART
    at, num_chunks, texts_bytes, end = 8, 0, 0, len(encoded) - 8
    pixel_data: list[slice] = []
    while at <= end:
        size, name = struct.unpack_from(">I4s", encoded, at)
        if name in _COMPRESSED_CHUNKS:
            texts_bytes += min(size * _MAX_DEFLATE_RATIO, _MAX_TEXT_BYTES)
        elif name == b"IDAT":
            pixel_data.append(slice(at + 8, at + 8 + size))
        num_chunks += 1
        if num_chunks > max_chunks:
            return f"more than {max_chunks} chunks"
        at += size + 12
    if texts_bytes > _MAX_TEXTS_BYTES:
        return f"compressed texts of more than {_MAX_TEXTS_BYTES // 1_000_000} MB"
    if _has_surplus_pixels(encoded, pixel_data):
        return "more data than pixels"
    return None


def _has_surplus_pixels(encoded: bytes, pixel_data: list[slice]) -> bool:
    """Return whether much more data follow the pixels, which decoders decompress, too.

    Only a large file can hide enough of them, so that small files are not decompressed here.
    """
    if len(encoded) * _MAX_DEFLATE_RATIO <= _MAX_UNSEEN_BYTES or len(encoded) < _PNG_HEADER_BYTES:
        return False
    width, height, depth, color_type = struct.unpack_from(">LLBB", encoded, 16)
    row_bytes = width * depth * _PNG_CHANNELS.get(color_type, 4) // 8 + 2
    remaining = height * row_bytes * 3 + _MAX_TEXTS_BYTES  # interlaced rows take more bytes
    inflater = zlib.decompressobj()
    try:
        for part in pixel_data:
            data = encoded[part]
            while data:
                remaining -= len(inflater.decompress(data, _INFLATED_BYTES))
                data = inflater.unconsumed_tail
                if remaining < 0:
                    return True
    except zlib.error:  # the decoder stops here as well
        return False
    return False


def _check_jpeg(encoded: bytes, max_pixels: int) -> str | None:
    max_markers = _MIN_PARTS + len(encoded) // _BYTES_PER_PART
    num_markers = num_scans = num_pixels = 0
    max_scans = single_scan_components = 0
    budget = _MAX_SCANS * max(max_pixels, _MIN_PIXELS)
    for marker, at in _list_jpeg_markers(encoded):
        if marker in _FRAME_MARKERS and at + 10 <= len(encoded):
            height, width = struct.unpack_from(">HH", encoded, at + 5)
            num_pixels = max(num_pixels, _to_blocks(height) * _to_blocks(width))
            single_scan_components = encoded[at + 9] if marker in _SEQUENTIAL else 0
        elif marker == _SOS:
            num_scans += 1
            if encoded[at + 4 : at + 5] == bytes([single_scan_components]):
                return None  # decoders stop at a second scan
            # In the data of a scan, 255 is followed by 0: this is at least the number of scans.
            max_scans = max_scans or encoded.count(b"\xff\xda")
            if max_scans * num_pixels <= budget:
                return None
            if num_scans * num_pixels > budget:
                return f"more than {budget // num_pixels} scans"
        else:
            num_markers += 1
            if num_markers > max_markers:
                return f"more than {max_markers} markers"
    return None


def _list_jpeg_markers(encoded: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker with the position of its 255, and 0 for each byte skipped in between."""
    at, end = 2, len(encoded) - 4
    while at <= end:
        lead, marker, size = struct.unpack_from(">BBH", encoded, at)
        if lead != 0xFF or marker in (0x00, 0xFF):
            yield 0, at
            at += 1
            continue
        yield marker, at
        if marker == _EOI:
            return
        at += 2 if marker in _NO_LENGTH else 2 + size
        if marker == _SOS:
            found = _NEXT_MARKER.search(encoded, at)
            at = len(encoded) if found is None else found.start()


def _to_blocks(side: int) -> int:
    return -(-side // _MAX_BLOCK_SIDE) * _MAX_BLOCK_SIDE


def _check_gif(encoded: bytes, max_pixels: int) -> str | None:
    """Check the comments, which Pillow joins in quadratic time, up to the second frame."""
    comment_bytes = num_extensions = num_frames = 0
    max_extensions = _MIN_PARTS + len(encoded) // _BYTES_PER_PART
    at = 13 + _color_table_bytes(encoded, 10)
    while at + 1 < len(encoded) and num_frames < 2:
        introducer, label = encoded[at], encoded[at + 1]
        if introducer == 0x21:
            start, at = at, _skip_sub_blocks(encoded, at + 2)
            num_extensions += 1
            comment_bytes += at - start if label == 0xFE else 0
        elif introducer == 0x2C:
            at = _skip_sub_blocks(encoded, at + 11 + _color_table_bytes(encoded, at + 9))
            num_frames += 1
        elif introducer == 0x3B:
            break
        else:
            num_extensions += 1
            at += 1
        if num_extensions > max_extensions:
            return f"more than {max_extensions} extensions"
        if comment_bytes > _MAX_COMMENT_BYTES:
            return f"comments of more than {_MAX_COMMENT_BYTES} bytes"
    return None


def _color_table_bytes(encoded: bytes, at: int) -> int:
    flags = encoded[at] if at < len(encoded) else 0
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _skip_sub_blocks(encoded: bytes, at: int) -> int:
    while at < len(encoded) and encoded[at]:
        at += encoded[at] + 1
    return at + 1


def _check_tiff(encoded: bytes, max_pixels: int) -> str | None:
    """Check the first directory, the only one that is read."""
    order = "<" if encoded[:1] == b"I" else ">"
    is_big = encoded[2:4] in (b"+\0", b"\0+")
    count_format, entry_format = ("Q", "HHQQ") if is_big else ("H", "HHLL")
    try:
        (directory,) = struct.unpack_from(
            order + ("Q" if is_big else "L"), encoded, 8 if is_big else 4
        )
        (num_entries,) = struct.unpack_from(order + count_format, encoded, directory)
        start = directory + struct.calcsize(order + count_format)
        entry_bytes = struct.calcsize(order + entry_format)
        num_entries = min(num_entries, max(len(encoded) - start, 0) // entry_bytes)
        entries = encoded[start : start + num_entries * entry_bytes]
    except (struct.error, OverflowError):
        return None
    values_bytes = 0
    for tag, kind, num_values, position in struct.iter_unpack(order + entry_format, entries):
        num_bytes = num_values * _TIFF_TYPE_BYTES.get(kind, 0)
        if position + num_bytes <= len(encoded):  # otherwise the values are not read
            values_bytes += num_bytes
        if values_bytes > len(encoded):
            return "tags that refer to the same bytes"
        if tag in _TIFF_OFFSETS and num_values > _MAX_TIFF_PARTS:
            return f"more than {_MAX_TIFF_PARTS} strips or tiles"
    return None


def _check_bmp(encoded: bytes, max_pixels: int) -> str | None:
    is_compressed = encoded[14:15] != b"\x0c" and encoded[30:34] in _BMP_RUN_LENGTHS
    if is_compressed and len(encoded) > _MAX_SLOW_BYTES:
        return f"more than {_MAX_SLOW_BYTES} bytes of run lengths"
    return None


def _check_pnm(encoded: bytes, max_pixels: int) -> str | None:
    header = _PNM_HEADER.match(encoded[:_MAX_PNM_HEADER_BYTES])
    if header is None:
        is_cut = len(encoded) > _MAX_PNM_HEADER_BYTES
        return f"a header of more than {_MAX_PNM_HEADER_BYTES} bytes" if is_cut else None
    kind, maximum = encoded[:2], header[1]
    is_text = kind in (b"P1", b"P2", b"P3")
    if is_text and encoded.count(b"#") > _MIN_PARTS:
        return f"more than {_MIN_PARTS} comments"
    is_fast = kind == b"P4" or maximum == b"255" or (kind, maximum) == (b"P5", b"65535")
    if (is_text or not is_fast) and len(encoded) > _MAX_SLOW_BYTES:
        form = "text" if is_text else f"numbers up to {int(maximum[:9])}"
        return f"more than {_MAX_SLOW_BYTES} bytes of {form}"
    return None


_CHECKS: dict[str, Callable[[bytes, int], str | None]] = {
    "PNG": _check_png,
    "JPEG": _check_jpeg,
    "GIF": _check_gif,
    "BMP": _check_bmp,
    "PNM": _check_pnm,
    "TIFF": _check_tiff,
}
