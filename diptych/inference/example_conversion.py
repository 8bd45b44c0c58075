"""Convert examples of a Python program to the raw examples of a pushed model."""

import os
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from diptych.components.common.image_conversion import convert_to_png
from diptych.components.common.images import prepare_image
from diptych.inference.raw_examples import read_single_example
from diptych.inference.raw_images import limits_of_model
from diptych.schemas.errors import DataError
from diptych.schemas.manifest import ModelManifest

Example = (
    str | os.PathLike[str] | bytes | np.ndarray | Image.Image | Mapping[str, Any] | Sequence[Any]
)
"""One example: a path, an encoded image, an array, a PIL image, or a row of numbers."""

_SINGLE = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image, Mapping)
_CHANNELS = {1: "grey", 2: "grey and alpha", 3: "RGB", 4: "RGB and alpha"}


def convert_examples(examples: Iterable[Example], manifest: ModelManifest) -> np.ndarray:
    """Convert examples to (n,) encoded images or (n, d) float32 vectors.

    Args:
      examples: Paths, which may be rows of tables such as ``birds.csv:12``. For a model of images,
        also encoded images as bytes, PIL images, and uint8 or uint16 arrays: (height, width), or
        (height, width, channels) with 1 (grey), 2 (grey and alpha), 3 (RGB) or 4 channels (RGB and
        alpha). For a model of vectors, also dicts from column to value, and
        sequences or arrays of d numbers in the order of the model's columns. An array holds the
        examples along its first axis.
      manifest: Manifest of the model, which defines the inputs and the limits of images.

    Raises:
      DataError: If an example is not of a kind that the model accepts, or cannot be used.
    """
    if isinstance(examples, np.ndarray):
        dimensions = 4 if manifest.inputs.kind == "image" else 2
        if examples.ndim != dimensions:
            raise DataError(
                f"An array of examples must have {dimensions} dimensions, got the shape "
                f"{examples.shape}. Pass a list to embed a single example. {_accepted(manifest)}"
            )
    elif type(examples).__name__ == "DataFrame":  # iterates over the names of its columns
        raise DataError(
            "Expected a list of examples, got a DataFrame. Pass frame.to_dict('records')."
        )
    elif isinstance(examples, _SINGLE) or not isinstance(examples, Iterable):
        raise DataError(f"Expected a list of examples, got {_kind(examples)}. Pass [example].")
    convert = _to_image if manifest.inputs.kind == "image" else _to_vector
    converted = [convert(each, f"Example {i}", manifest) for i, each in enumerate(examples)]
    if manifest.inputs.kind == "image":
        values = np.empty(len(converted), object)
        values[:] = converted
        return values
    width = manifest.inputs.shape.shape[0]
    return np.asarray(converted, np.float32).reshape(len(converted), width)


def _to_image(example: Any, name: str, manifest: ModelManifest) -> bytes:
    """Encoded image, checked like the images of the commands."""
    if isinstance(example, str | os.PathLike):
        image: bytes = read_single_example(Path(example), manifest).values[0]
        return image
    if isinstance(example, bytes | bytearray | memoryview):
        encoded = bytes(example)
    elif isinstance(example, Image.Image):
        encoded = _encode_png(example, name)
    elif isinstance(example, np.ndarray):
        encoded = _encode_png(_array_to_pil(example, name), name)
    else:
        raise DataError(f"{name} is {_kind(example)}. {_accepted(manifest)}")
    limits = limits_of_model(manifest)
    prepared = prepare_image(encoded, limits)
    if isinstance(prepared, str):
        raise DataError(f"{name} cannot be used: {prepared}.")
    return encoded


def _array_to_pil(pixels: np.ndarray, name: str) -> Image.Image:
    is_image = pixels.ndim == 2 or (pixels.ndim == 3 and pixels.shape[2] in _CHANNELS)
    if pixels.dtype not in (np.uint8, np.uint16) or not is_image:
        channels = ", ".join(f"{number} ({text})" for number, text in _CHANNELS.items())
        raise DataError(
            f"{name} is an array of {pixels.dtype} with the shape {pixels.shape}. An image is a "
            f"uint8 or uint16 array (height, width) or (height, width, channels), with {channels}."
        )
    if pixels.ndim == 3 and pixels.shape[2] == 1:
        pixels = pixels[..., 0]
    if pixels.dtype == np.uint16 and pixels.ndim == 3:
        pixels = (pixels >> 8).astype(np.uint8)  # of a PNG, the graph uses the same 8 bits
    return Image.fromarray(np.ascontiguousarray(pixels))


def _encode_png(image: Image.Image, name: str) -> bytes:
    """Lossless encoding, so that the model decodes an array like a file with the same pixels."""
    if 0 in image.size:
        raise DataError(f"{name} cannot be used: has no pixels.")
    try:
        encoded = convert_to_png(image)
    except Exception as error:  # a file that Pillow reads now, and that is damaged
        raise DataError(f"{name} cannot be used: {error}.") from error
    if isinstance(encoded, str):
        raise DataError(f"{name} is an image with {encoded}.")
    return encoded


def _to_vector(example: Any, name: str, manifest: ModelManifest) -> npt.NDArray[np.float32]:
    """(d,) finite numbers in the order of the model's columns."""
    if isinstance(example, str | os.PathLike):
        vector: npt.NDArray[np.float32] = read_single_example(Path(example), manifest).values[0]
        return vector
    columns = manifest.inputs.columns
    if isinstance(example, Mapping):
        missing = [column.name for column in columns if column.name not in example]
        if missing:
            raise DataError(f"{name} has no value for {', '.join(map(repr, missing[:6]))}.")
        values = [_to_numbers(example[column.name], name) for column in columns]
        for column, part in zip(columns, values, strict=True):
            if len(part) != column.width:
                raise DataError(
                    f"{name}: the column {column.name!r} must hold {column.width} numbers, got "
                    f"{len(part)}."
                )
        numbers = np.concatenate(values)
    elif isinstance(example, np.ndarray) or (
        isinstance(example, Sequence) and not isinstance(example, bytes | bytearray | memoryview)
    ):
        numbers = _to_numbers(example, name)
    else:
        raise DataError(f"{name} is {_kind(example)}. {_accepted(manifest)}")
    width = manifest.inputs.shape.shape[0]
    if len(numbers) != width:
        raise DataError(f"{name} has {len(numbers)} numbers, expected {width}.")
    if not np.isfinite(numbers).all():
        raise DataError(f"{name} contains a number that is not finite in float32.")
    return numbers


def _to_numbers(value: Any, name: str) -> npt.NDArray[np.float32]:
    try:
        with np.errstate(over="ignore"):
            numbers = np.asarray(value, np.float32)
    except (TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{name} contains a value that is not a float32 number: {reprlib.repr(value)}."
        ) from error
    if numbers.ndim > 1:
        raise DataError(f"{name} has the shape {numbers.shape}, expected a list of numbers.")
    return np.atleast_1d(numbers)


def _accepted(manifest: ModelManifest) -> str:
    if manifest.inputs.kind == "image":
        return (
            f"The model {manifest.name} accepts images: a path, encoded bytes, a uint8 or uint16 "
            "array, or a PIL image."
        )
    return (
        f"The model {manifest.name} accepts rows: a path such as data.csv:12, a dict from column "
        "to value, or a list or array of numbers."
    )


def _kind(value: object) -> str:
    return f"an object of type {type(value).__name__}"
