"""Draws printed characters of four alphabets; the label is the alphabet and the character.

98 characters, some of them close to another, in the twelve faces of the DejaVu fonts that come with
Matplotlib: 4 to 36 pictures of each, so that few have many and many have few. Face, size, place,
turn, slant and noise are drawn anew for each, from one seed.

    python pipeline/examples/characters.py FOLDER
"""

import sys
from pathlib import Path

import matplotlib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from diptych.schemas.files import atomic_folder

# Letters that have the shape of one of another alphabet are left out.
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
_FEWEST, _MOST = 4, 36  # pictures of a character
_SIDE = 28  # pixels
_FINE = 4  # drawn so much larger, and scaled down: smooth edges


def main(folder: Path) -> None:
    """Writes the folder beside, and renames it; one that is there already is kept."""
    if folder.exists():
        print(f"{folder} is there already.")
        return
    with atomic_folder(folder) as beside:
        generator = np.random.default_rng(0)
        fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
        written = 0
        for alphabet, characters in _ALPHABETS.items():
            for character in characters:
                label = beside / alphabet / f"{ord(character):04x}-{character}"
                label.mkdir(parents=True)
                count = int(_FEWEST * (_MOST / _FEWEST) ** generator.uniform() ** 2)
                for number in range(count):
                    face = fonts / _FACES[generator.integers(len(_FACES))]
                    _draw(generator, character, face).save(label / f"{number:02d}.png")
                written += count
    classes = sum(len(characters) for characters in _ALPHABETS.values())
    print(f"Wrote {written:,} pictures of {classes} characters to {folder}.")


def _draw(generator: np.random.Generator, character: str, face: Path) -> Image.Image:
    """One picture, white on black."""
    side = _SIDE * _FINE
    middle = side / 2
    font = ImageFont.truetype(str(face), int(side * generator.uniform(0.6, 0.8)))
    image = Image.new("L", (side, side))
    ImageDraw.Draw(image).text((middle, middle), character, 255, font, anchor="mm")
    turn, slant = np.radians(generator.uniform(-10, 10)), generator.uniform(-0.15, 0.15)
    matrix = np.array([[np.cos(turn), np.sin(turn) + slant], [-np.sin(turn), np.cos(turn)]])
    shift = middle - matrix @ (middle + generator.uniform(-0.05, 0.05, 2) * side)
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
