import numpy as np
from PIL import Image

from diptych.components.evaluator.reconstructions import write_reconstructions


def pixels_of(path):
    with Image.open(path) as picture:
        return np.asarray(picture).astype(int)


def test_the_picture_has_the_inputs_above_their_reconstructions(tmp_path):
    x = np.zeros((3, 4, 8, 1))
    x[1] = 200 / 255
    reconstructed = np.stack([np.full((4, 8, 1), grey) for grey in (0.2, 0.4, 1.0)])
    picture = pixels_of(write_reconstructions(tmp_path, x, reconstructed))
    assert picture.shape == (2 * (64 + 4) + 4, 3 * (128 + 4) + 4, 3)
    middles = picture[[36, 104]][:, [68, 200, 332]]
    assert middles[:, :, 0].tolist() == [[0, 200, 0], [51, 102, 255]]
    assert (middles == middles[:, :, :1]).all()  # grey
    assert (picture[0] == 255).all()
    assert [path.name for path in tmp_path.iterdir()] == ["reconstructions.png"]


def test_the_picture_holds_sixteen_examples_however_many_and_large_they_are(tmp_path):
    x = np.zeros((20, 300, 200, 3))
    x[..., 1] = 99 / 255
    picture = pixels_of(write_reconstructions(tmp_path, x, x))
    assert picture.shape == (2 * (128 + 4) + 4, 16 * (85 + 4) + 4, 3)
    assert picture[60, 60].tolist() == picture[200, 60].tolist() == [0, 99, 0]


def test_vectors_are_strips_from_blue_over_white_to_red_on_one_scale(tmp_path):
    x = np.array([[2.0, 0.0], [-2.0, -4.0]], np.float32)
    reconstructed = np.array([[4.0, 0.0], [0.0, 1.0]], np.float32)
    picture = pixels_of(write_reconstructions(tmp_path, x, reconstructed))
    assert picture.shape == (2 * (128 + 4) + 4, 2 * (32 + 4) + 4, 3)
    first, second = picture[[20, 100, 150, 230], 20], picture[[20, 100, 150, 230], 56]
    assert first.tolist() == [[255, 128, 128], [255, 255, 255], [255, 0, 0], [255, 255, 255]]
    assert second.tolist() == [[128, 128, 255], [0, 0, 255], [255, 255, 255], [255, 191, 191]]


def test_vectors_of_zeros_are_white(tmp_path):
    zeros = np.zeros((1, 3), np.float32)
    assert (pixels_of(write_reconstructions(tmp_path, zeros, zeros)) == 255).all()
