"""Convert images to PNG with Pillow: formats and color modes that the graph does not decode."""

import dataclasses
import io
import warnings

import numpy as np
from PIL import Image, ImageOps

# Names of Pillow's readers.
_READERS = {
    "JPEG": "JPEG",
    "GIF": "GIF",
    "BMP": "BMP",
    "WebP": "WEBP",
    "TIFF": "TIFF",
    "PNM": "PPM",
}
_PNG_MODES = ("1", "L", "LA", "RGB", "RGBA", "I;16")
_ALPHA_MODES = ("PA", "La", "RGBa")
_OPAQUE_MODES = ("P", "CMYK", "YCbCr", "HSV", "RGBX")
_MAX_16_BIT = 65_535
_TIFF_SUBFILE_TYPE, _REDUCED_IMAGE = 254, 1
_TIFF_SAMPLE_FORMAT, _SIGNED = 339, 2
_TIFF_BITS, _TIFF_PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


@dataclasses.dataclass(frozen=True)
class ConvertedImage:
    """An image as PNG, upright, with its alpha channel."""

    encoded: bytes
    has_several_frames: bool


def read_size(encoded: bytes, image_format: str) -> tuple[int, int] | None:
    """Read the width and height of an image from its header; None if it is damaged.

    Raises:
      Image.DecompressionBombError: If the image has more than 178 million pixels.
    """
    try:
        with _open(encoded, image_format) as image:
            return image.size
    except Image.DecompressionBombError:
        raise
    except Exception:  # damaged headers raise many exception types
        return None


def convert_file(
    encoded: bytes, image_format: str, max_pixels: int | None = None
) -> ConvertedImage | str:
    """Convert the first frame of an image to PNG, or return why it cannot be used."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about damaged metadata
            with _open(encoded, image_format) as image:
                if max_pixels is not None and image.width * image.height > max_pixels:
                    return describe_too_many_pixels(max_pixels)
                if _is_thumbnail(image):
                    return (
                        f"a {image_format} whose first image is a thumbnail, as in raw camera "
                        "files: convert it to PNG or JPEG"
                    )
                if _has_signed_bytes(image):
                    return f"a {image_format} with signed bytes: convert it to unsigned ones"
                # Before the pixels are loaded, which closes the file. Pillow reads the headers of
                # the second frame at most.
                has_several_frames = bool(getattr(image, "is_animated", False))
                converted = convert_to_png(image)
    except Image.DecompressionBombError as error:
        return str(error) if max_pixels is None else describe_too_many_pixels(max_pixels)
    except Exception:  # damaged images raise many exception types
        return f"a {image_format} that cannot be decoded"
    if isinstance(converted, str):
        return f"a {image_format} with {converted}"
    return ConvertedImage(converted, has_several_frames)


def convert_to_png(image: Image.Image) -> bytes | str:
    """Convert an image of any mode to an upright PNG, or return what PNG cannot represent."""
    image = _without_xmp(_with_full_range(image))
    converted = _to_png_mode(ImageOps.exif_transpose(image))
    if isinstance(converted, str):
        return converted
    converted.info = {}  # an ICC profile, for example
    buffer = io.BytesIO()
    converted.save(buffer, "PNG", compress_level=1)  # several times as fast, slightly larger
    return buffer.getvalue()


def describe_too_many_pixels(max_pixels: int) -> str:
    """Return the reason to reject an image with more than ``max_pixels`` pixels."""
    return f"more than {max_pixels} pixels (data.max_pixels)"


def _open(encoded: bytes, image_format: str) -> Image.Image:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # decompression bomb warning: max_pixels is stricter
        return Image.open(io.BytesIO(encoded), formats=(_READERS[image_format],))


def _is_thumbnail(image: Image.Image) -> bool:
    """Return whether the first image of a TIFF is a reduced version of another one in the file."""
    tags = getattr(image, "tag_v2", {})
    return bool(tags.get(_TIFF_SUBFILE_TYPE, 0) & _REDUCED_IMAGE)


def _has_signed_bytes(image: Image.Image) -> bool:
    """Return whether 8 bits of a TIFF have a sign, which Pillow ignores."""
    tags = getattr(image, "tag_v2", {})
    is_signed = _SIGNED in tags.get(_TIFF_SAMPLE_FORMAT, ())
    return is_signed and 8 in tags.get(_TIFF_BITS, ())


def _with_full_range(image: Image.Image) -> Image.Image:
    """Scale 12 bits of a TIFF to 16, and invert one whose white is 0: Pillow does neither."""
    tags = getattr(image, "tag_v2", None)
    if tags is None or image.mode != "I;16":
        return image
    (num_bits, *_) = tags.get(_TIFF_BITS, (16,))
    is_inverted = tags.get(_TIFF_PHOTOMETRIC) == _WHITE_IS_ZERO
    if num_bits == 16 and not is_inverted:
        return image
    largest = 2**num_bits - 1
    values = np.asarray(image).astype(np.uint32)
    values = largest - values if is_inverted else values
    return Image.fromarray((values * _MAX_16_BIT // largest).astype(np.uint16))


def _without_xmp(image: Image.Image) -> Image.Image:
    """Copy an image without XMP, from which Pillow takes the orientation if EXIF has none.

    The graph reads EXIF only.
    """
    image.load()  # a PNG may have its EXIF data after the pixels
    image = image.copy()
    image.info = {key: value for key, value in image.info.items() if "xmp" not in str(key).lower()}
    return image


def _to_png_mode(image: Image.Image) -> Image.Image | str:
    """Convert to a mode of PNG without loss, or to RGB where it has no equivalent."""
    if "transparency" in image.info or image.mode in _ALPHA_MODES:
        return image.convert("RGBA")
    if image.mode in _PNG_MODES:
        return image
    if image.mode in _OPAQUE_MODES:
        return image.convert("RGB")
    if image.mode.startswith("I"):
        values = np.asarray(image)
        if values.size and not 0 <= values.min() <= values.max() <= _MAX_16_BIT:
            return (
                f"integers from {values.min()} to {values.max()}, outside 0 to {_MAX_16_BIT}: "
                "convert it to 8 or 16 bits"
            )
        return Image.fromarray(values.astype(np.uint16))
    if image.mode == "F":
        return "floating-point pixels: convert it to 8 or 16 bits"
    return f"the colour mode {image.mode}: convert it to RGB"
