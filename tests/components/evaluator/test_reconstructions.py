import numpy as np
from PIL import Image

from diptych.components.evaluator.reconstructions import write_reconstructions


def read_pixels(path):
    with Image.open(path) as image:
        return np.asarray(image).astype(int)


def test_the_image_has_the_inputs_above_their_reconstructions(tmp_path):
    x = np.zeros((3, 4, 8, 1))
    x[1] = 200 / 255
    reconstructed = np.stack([np.full((4, 8, 1), grey) for grey in (0.2, 0.4, 1.0)])
    image = read_pixels(write_reconstructions(tmp_path, x, reconstructed))
    assert image.shape == (2 * (64 + 4) + 4, 3 * (128 + 4) + 4, 3)
    middles = image[[36, 104]][:, [68, 200, 332]]
    assert middles[:, :, 0].tolist() == [[0, 200, 0], [51, 102, 255]]
    assert (middles == middles[:, :, :1]).all()  # grey
    assert (image[0] == 255).all()
    assert [path.name for path in tmp_path.iterdir()] == ["reconstructions.png"]


def test_the_image_has_at_most_sixteen_examples_of_bounded_size(tmp_path):
    x = np.zeros((20, 300, 200, 3))
    x[..., 1] = 99 / 255
    image = read_pixels(write_reconstructions(tmp_path, x, x))
    assert image.shape == (2 * (128 + 4) + 4, 16 * (85 + 4) + 4, 3)
    assert image[60, 60].tolist() == image[200, 60].tolist() == [0, 99, 0]


def test_vectors_are_strips_with_a_shared_diverging_colour_scale(tmp_path):
    x = np.array([[2.0, 0.0], [-2.0, -4.0]], np.float32)
    reconstructed = np.array([[4.0, 0.0], [0.0, 1.0]], np.float32)
    image = read_pixels(write_reconstructions(tmp_path, x, reconstructed))
    assert image.shape == (2 * (128 + 4) + 4, 2 * (32 + 4) + 4, 3)
    first, second = image[[20, 100, 150, 230], 20], image[[20, 100, 150, 230], 56]
    assert first.tolist() == [[255, 128, 128], [255, 255, 255], [255, 0, 0], [255, 255, 255]]
    assert second.tolist() == [[128, 128, 255], [0, 0, 255], [255, 255, 255], [255, 191, 191]]


def test_zero_vectors_are_white(tmp_path):
    zeros = np.zeros((1, 3), np.float32)
    assert (read_pixels(write_reconstructions(tmp_path, zeros, zeros)) == 255).all()
