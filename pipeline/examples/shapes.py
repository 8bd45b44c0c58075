"""Draw triangles, circles and rectangles in red, green and blue; the label is the colour.

FOLDER/known has 20 images per colour, half of them triangles and half circles. FOLDER/unseen has 20
rectangles per colour, which are not used for training. Size, position, rotation, shade and the grey
of the background are random, with a fixed seed.

    python pipeline/examples/shapes.py FOLDER
"""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from diptych.schemas.files import atomic_folder

_IMAGES_PER_COLOUR = 20
_SIDE = 28  # pixels
_OVERSAMPLING = 8  # antialiasing: draw larger and scale down
_COLOURS = {"red": 0, "green": 1, "blue": 2}  # index of the bright channel


def main(folder: Path) -> None:
    """Write the data set, unless the folder exists."""
    if folder.exists():
        print(f"{folder} already exists.")
        return
    with atomic_folder(folder) as tmp_folder:
        generator = np.random.default_rng(0)
        for subset, shapes in (("known", ("triangle", "circle")), ("unseen", ("rectangle",))):
            for colour, channel in _COLOURS.items():
                (tmp_folder / subset / colour).mkdir(parents=True)
                for number in range(_IMAGES_PER_COLOUR):
                    shape = shapes[number % len(shapes)]
                    image = _draw_shape(generator, shape, channel)
                    image.save(tmp_folder / subset / colour / f"{shape}_{number:02d}.png")
    num_images = 2 * _IMAGES_PER_COLOUR * len(_COLOURS)
    print(f"Wrote {num_images} images of {len(_COLOURS)} colours to {folder}.")


def _draw_shape(generator: np.random.Generator, shape: str, channel: int) -> Image.Image:
    """Draw a shape that lies completely inside the image."""
    side = _SIDE * _OVERSAMPLING
    radius = generator.uniform(0.15, 0.45) * side  # of the circumscribed circle
    centre = generator.uniform(radius, side - radius, 2)
    colour = generator.integers(0, 80, 3)
    colour[channel] = generator.integers(160, 256)
    grey = int(generator.integers(0, 256))
    image = Image.new("RGB", (side, side), (grey, grey, grey))
    ImageDraw.Draw(image).polygon(
        [tuple(corner) for corner in (centre + radius * _polygon(generator, shape)).tolist()],
        fill=tuple(colour.tolist()),
    )
    return image.resize((_SIDE, _SIDE), Image.Resampling.BOX)


def _polygon(generator: np.random.Generator, shape: str) -> np.ndarray:
    """Return (corners, 2) points on the unit circle, rotated by a random angle."""
    if shape == "rectangle":
        half_angle = generator.uniform(0.2, 0.8)  # between its diagonals, in radians
        angles = np.array([half_angle, np.pi - half_angle, np.pi + half_angle, -half_angle])
    else:
        corners = {"triangle": 3, "circle": 90}[shape]
        angles = np.arange(corners) * 2 * np.pi / corners
    angles = angles + generator.uniform(0, 2 * np.pi)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
