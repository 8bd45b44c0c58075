import numpy as np

from diptych.components.trainer.augmentation import random_views, view

IDENTITY = np.array([[1, 0, 0, 0, 1, 0, 0, 0]], np.float32)


def test_the_identity_leaves_an_image_as_it_is():
    image = np.random.default_rng(0).integers(0, 256, (1, 6, 9, 3)).astype(np.uint8)
    np.testing.assert_array_equal(view(image, IDENTITY).numpy(), image)


def test_a_shift_moves_the_image_and_repeats_the_edge():
    image = np.arange(4, dtype=np.uint8).reshape(1, 1, 4, 1)
    by_one = IDENTITY + np.array([[0, 0, 1, 0, 0, 0, 0, 0]], np.float32)
    assert view(image, by_one).numpy().ravel().tolist() == [1, 2, 3, 3]


def test_views_differ_stay_near_and_keep_the_middle_of_the_image_in_sight():
    views = random_views(np.random.default_rng(0), 200, height=20, width=40)
    assert len(np.unique(views, axis=0)) == 200
    middle_x = views[:, 0] * 19.5 + views[:, 1] * 9.5 + views[:, 2]
    middle_y = views[:, 3] * 19.5 + views[:, 4] * 9.5 + views[:, 5]
    assert np.abs(middle_x - 19.5).max() <= 4.01  # a tenth of the width
    assert np.abs(middle_y - 9.5).max() <= 2.01
    assert np.abs(middle_x - 19.5).max() > 3
