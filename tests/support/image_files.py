"""Encoded images of every format and mode, with the pixels that they show."""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

ORIENTATION = 0x0112
NOISE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), np.uint8)
GREY_NOISE = NOISE[..., 0]
DEEP_NOISE = np.random.default_rng(1).integers(0, 65_536, (40, 30), np.uint16)
DEEP_NOISE[0, :2] = 0, 65_535
PICTURE = Image.fromarray(NOISE)


def encode(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif(orientation):
    tags = Image.Exif()
    tags[ORIENTATION] = orientation
    return tags


def png_chunk(name, content):
    checksum = struct.pack(">I", zlib.crc32(name + content))
    return struct.pack(">I", len(content)) + name + content + checksum


def png_of_rows(rows, width, bit_depth, color_type, *chunks):
    """Build a PNG from its rows as bytes, without the filter byte; for modes that Pillow lacks."""
    header = struct.pack(">IIBBBBB", width, len(rows), bit_depth, color_type, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + row for row in rows))
    body = b"".join(png_chunk(name, data) for name, data in chunks)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", header)
        + body
        + png_chunk(b"IDAT", content)
        + png_chunk(b"IEND", b"")
    )


def png_decompression_bomb(width, height):
    """Build a valid PNG of one color, a few kilobytes for any number of pixels."""
    packer = zlib.compressobj(9)
    rows = (
        b"".join(packer.compress(b"\0" * (width // 8 + 1)) for _ in range(height)) + packer.flush()
    )
    header = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + png_chunk(b"IDAT", rows) + png_chunk(b"IEND", b"")


def with_ink(mode="RGBA"):
    """An image with noise as alpha channel."""
    alpha = Image.fromarray(NOISE[..., 2])
    if mode == "LA":
        return Image.merge("LA", (Image.fromarray(GREY_NOISE), alpha))
    image = PICTURE.copy()
    image.putalpha(alpha)
    return image


def to_ycck(image):
    """Encode as YCCK JPEG, which Pillow reads but does not write.

    Pillow stores 255 - C, M, Y and K. In YCCK, the first three are stored as YCbCr instead, and
    byte 11 of the Adobe marker is 2.
    """
    luma = ImageOps.invert(image).convert("YCbCr")
    channels = [ImageOps.invert(channel) for channel in luma.split()]
    encoded = bytearray(
        encode(Image.merge("CMYK", (*channels, Image.new("L", image.size))), "JPEG", quality=95)
    )
    encoded[encoded.index(b"Adobe") + 11] = 2
    return bytes(encoded)


def low_bit_files():
    """Yield 1, 2 and 4 bits, rows of one byte, and the pixels on white if 1 is transparent."""
    for bits in (1, 2, 4):
        rows = np.random.default_rng(bits).integers(0, 256, (20, 1), np.uint8)
        per_byte = 8 // bits
        shifts = np.arange(per_byte)[::-1] * bits
        values = rows >> shifts & 2**bits - 1
        scaled = np.where(values == 1, 255, values * 255 // (2**bits - 1)).astype(np.uint8)
        yield bits, rows, np.repeat(scaled[..., None], 3, axis=2)


def lossless_files():
    """Return encoded images by name, with the expected (height, width, 3) pixels on white."""
    grey = np.repeat(GREY_NOISE[..., None], 3, axis=2)
    deep = np.repeat((DEEP_NOISE >> 8).astype(np.uint8)[..., None], 3, axis=2)
    bits = np.where(GREY_NOISE[..., None] > 127, 255, 0).astype(np.uint8).repeat(3, axis=2)
    bilevel = Image.fromarray(GREY_NOISE > 127)
    palette = PICTURE.quantize(64)
    colors = np.asarray(palette.convert("RGB"))
    clear = np.where(np.asarray(palette)[..., None] == 3, 255, colors).astype(np.uint8)
    alpha = NOISE[..., 2:].astype(int)
    rgba = ((NOISE * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    grey_alpha = ((grey * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8)
    nibbles = GREY_NOISE >> 4
    wide = NOISE.astype(int) * 257
    return {
        "png-1": (encode(bilevel, "PNG"), bits),
        "png-L": (encode(Image.fromarray(GREY_NOISE), "PNG"), grey),
        "png-LA": (encode(with_ink("LA"), "PNG"), grey_alpha),
        "png-P": (encode(palette, "PNG"), colors),
        "png-P-transparent": (encode(palette, "PNG", transparency=3), clear),
        "png-RGB": (encode(PICTURE, "PNG"), NOISE),
        "png-RGBA": (encode(with_ink(), "PNG"), rgba),
        "png-16-bit": (encode(Image.fromarray(DEEP_NOISE), "PNG"), deep),
        "png-4-bit": (
            png_of_rows([bytes(row[::2] << 4 | row[1::2]) for row in nibbles], 30, 4, 0),
            np.repeat((nibbles * 17)[..., None], 3, axis=2),
        ),
        **{
            f"png-{bits}-bit-transparent": (
                png_of_rows([bytes(row) for row in rows], 8 // bits, bits, 0, (b"tRNS", b"\0\1")),
                expected,
            )
            for bits, rows, expected in low_bit_files()
        },
        "png-16-bit-RGBA": (
            png_of_rows(
                [
                    np.concatenate([row, opacity], 1).astype(">u2").tobytes()
                    for row, opacity in zip(wide, wide[..., 2:], strict=True)
                ],
                30,
                16,
                6,
            ),
            rgba,
        ),
        "png-L-transparent": (
            png_of_rows(
                [row.tobytes() for row in GREY_NOISE],
                30,
                8,
                0,
                (b"tRNS", struct.pack(">H", int(GREY_NOISE[0, 0]))),
            ),
            np.where(grey == GREY_NOISE[0, 0], 255, grey).astype(np.uint8),
        ),
        "gif": (encode(palette, "GIF"), colors),
        "gif-transparent": (encode(palette, "GIF", transparency=3), clear),
        "gif-animated": (
            encode(palette, "GIF", save_all=True, append_images=[palette.rotate(180)]),
            colors,
        ),
        "bmp-1": (encode(bilevel, "BMP"), bits),
        "bmp-L": (encode(Image.fromarray(GREY_NOISE), "BMP"), grey),
        "bmp-P": (encode(palette, "BMP"), colors),
        "bmp-RGB": (encode(PICTURE, "BMP"), NOISE),
        "bmp-32-bit": (encode(with_ink(), "BMP"), NOISE),  # its fourth byte is not used
        "webp-RGB": (encode(PICTURE, "WEBP", lossless=True), NOISE),
        "webp-RGBA": (encode(with_ink(), "WEBP", lossless=True, exact=True), rgba),
        "tiff-1": (encode(bilevel, "TIFF"), bits),
        "tiff-L": (encode(Image.fromarray(GREY_NOISE), "TIFF"), grey),
        "tiff-RGB": (encode(PICTURE, "TIFF"), NOISE),
        "tiff-P": (encode(palette, "TIFF"), colors),
        "tiff-LA": (encode(with_ink("LA"), "TIFF"), grey_alpha),
        "tiff-RGBA": (encode(with_ink(), "TIFF", compression="tiff_lzw"), rgba),
        "tiff-16-bit": (encode(Image.fromarray(DEEP_NOISE), "TIFF"), deep),
        "tiff-16-bit-big-endian": (
            encode(Image.fromarray(DEEP_NOISE.astype(">u2")), "TIFF"),
            deep,
        ),
        "tiff-white-is-zero": (
            encode(Image.fromarray(65_535 - DEEP_NOISE), "TIFF", tiffinfo={262: 0}),
            deep,
        ),
        "pbm": (encode(bilevel, "PPM"), bits),
        "pgm": (encode(Image.fromarray(GREY_NOISE), "PPM"), grey),
        "pgm-16-bit": (encode(Image.fromarray(DEEP_NOISE), "PPM"), deep),
        "pgm-text": (
            b"P2\n# made by hand\n30 40\n255\n"
            + "\n".join(" ".join(map(str, row)) for row in GREY_NOISE).encode(),
            grey,
        ),
        "ppm": (encode(PICTURE, "PPM"), NOISE),
    }


def lossy_files():
    """Return encoded images by name, whose exact pixels depend on the decoder."""
    smooth = PICTURE.resize((8, 8)).resize((30, 40), Image.Resampling.BICUBIC)
    return {
        "jpeg-L": encode(smooth.convert("L"), "JPEG", quality=95),
        "jpeg-RGB": encode(smooth, "JPEG", quality=95),
        "jpeg-CMYK": encode(smooth.convert("CMYK"), "JPEG", quality=95),
        "jpeg-YCCK": to_ycck(smooth),
        "jpeg-progressive": encode(smooth, "JPEG", quality=95, progressive=True),
        "webp-lossy": encode(smooth, "WEBP", quality=95),
        "tiff-jpeg": encode(smooth, "TIFF", compression="jpeg"),
        "tiff-CMYK": encode(smooth.convert("CMYK"), "TIFF"),
        "mpo": encode(smooth, "MPO", save_all=True, append_images=[smooth.rotate(180)]),
    }


def jpeg_with_scans(num_scans, side=1000):
    """Build a progressive grey JPEG whose last scan is repeated; each scan takes 12 bytes or so."""
    encoded = encode(Image.new("L", (side, side)), "JPEG", progressive=True)
    last, end = encoded.rfind(b"\xff\xda"), encoded.rfind(b"\xff\xd9")
    missing = num_scans - encoded.count(b"\xff\xda")
    return encoded[:end] + encoded[last:end] * missing + encoded[end:]


def tiff_with_tags(tags, content=bytes(64)):
    """Build a grey TIFF of 8 x 8 pixels, with further tags: (tag, type, number of values, offset).

    The content starts at byte 8 and with the pixels.
    """
    tags = [
        *((256, 3, 1, 8), (257, 3, 1, 8), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1)),
        *((273, 4, 1, 8), (277, 3, 1, 1), (278, 3, 1, 8), (279, 4, 1, 64)),
        *tags,
    ]
    entries = b"".join(struct.pack("<HHLL", *tag) for tag in sorted(tags))
    directory = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<L", 8 + len(content)) + content + directory


def gif_with_extension(label, blocks):
    """Build a GIF of 8 x 8 pixels with an extension, such as the comment 254, in front of them."""
    encoded = encode(Image.new("P", (8, 8)), "GIF")
    at = encoded.index(b",\0\0\0\0")
    extension = b"".join(bytes([len(block)]) + block for block in blocks)
    return encoded[:at] + b"!" + bytes([label]) + extension + b"\0" + encoded[at:]
