"""Draw printed characters of four alphabets; the label is the alphabet and the character.

98 characters, some of them similar, in the twelve faces of the DejaVu fonts included in Matplotlib.
Each has 4 to 36 images in a long-tailed distribution. Face, size, position, rotation, slant and
noise are random, with a fixed seed.

    python pipeline/examples/characters.py FOLDER
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from diptych.schemas.files import atomic_folder

# Without letters that have the same shape as a letter of another alphabet.
_ALPHABETS = {
    "Latin": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "Greek": "αβγδεζηθλμξπρςστφχψω",
    "Cyrillic": "БГДЖЗИЛПФЦЧШЩЪЫЬЭЮЯ",
    "Armenian": "ԱԲԳԴԵԶԷԸԹԺԻԽԾԿՀՁՂՃՄՅՆՇՈՉՊՋՌՎՐՑՒՔՖ",
}
_FACES = [
    f"DejaVu{family}{style}.ttf"
    for family, styles in (
        ("Sans", ("", "-Bold", "-Oblique", "-BoldOblique")),
        ("SansMono", ("", "-Bold", "-Oblique", "-BoldOblique")),
        ("Serif", ("", "-Bold", "-Italic", "-BoldItalic")),
    )
    for style in styles
]
_MIN_IMAGES, _MAX_IMAGES = 4, 36  # per character
_SIDE = 28  # pixels
_OVERSAMPLING = 4  # antialiasing: draw larger and scale down


def main(folder: Path) -> None:
    """Write the data set, unless the folder exists."""
    if folder.exists():
        print(f"{folder} already exists.")
        return
    with atomic_folder(folder) as tmp_folder:
        generator = np.random.default_rng(0)
        fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        num_images = 0
        for alphabet, characters in _ALPHABETS.items():
            for character in characters:
                label = tmp_folder / alphabet / f"{ord(character):04x}-{character}"
                label.mkdir(parents=True)
                count = int(_MIN_IMAGES * (_MAX_IMAGES / _MIN_IMAGES) ** generator.uniform() ** 2)
                for number in range(count):
                    face = fonts / _FACES[generator.integers(len(_FACES))]
                    _draw_character(generator, character, face).save(label / f"{number:02d}.png")
                num_images += count
    num_classes = sum(len(characters) for characters in _ALPHABETS.values())
    print(f"Wrote {num_images:,} images of {num_classes} characters to {folder}.")


def _draw_character(generator: np.random.Generator, character: str, face: Path) -> Image.Image:
    """Draw a character, white on black."""
    side = _SIDE * _OVERSAMPLING
    centre = side / 2
    font = ImageFont.truetype(str(face), int(side * generator.uniform(0.6, 0.8)))
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).text((centre, centre), character, 255, font, anchor="mm")
    rotation, slant = np.radians(generator.uniform(-10, 10)), generator.uniform(-0.15, 0.15)
    matrix = np.array(
        [[np.cos(rotation), np.sin(rotation) + slant], [-np.sin(rotation), np.cos(rotation)]]
    )
    shift = centre - matrix @ (centre + generator.uniform(-0.05, 0.05, 2) * side)
    (a, b), (d, e) = matrix.tolist()
    image = image.transform(
        image.size,
        Image.Transform.AFFINE,
        (a, b, float(shift[0]), d, e, float(shift[1])),
        Image.Resampling.BILINEAR,
    )
    pixels = np.asarray(image.resize((_SIDE, _SIDE), Image.Resampling.BOX), np.float64)
    pixels = pixels + generator.normal(0, 20, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(Path(sys.argv[1]))
