import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.trainer.augmentation import Augmenter
from diptych.components.trainer.augmentation_layer import Augment
from diptych.schemas.config.train import Augmentation
from diptych.schemas.shards import InputShape

IDENTITY = np.array([[1, 0, 0, 0, 1, 0, 0, 0]], np.float32)
STILL = {"shift": 0, "rotation": 0, "zoom": 0, "flip": "none", "noise": 0, "mixing": 0}
IMAGES = InputShape(kind="image", shape=(20, 40, 1))
VECTORS = InputShape(kind="vector", shape=(3,))


def draw(settings, x, classes=None, repeats=None, seed=0):
    kind = "image" if x.dtype == np.uint8 else "vector"
    augmenter = Augmenter(settings, InputShape(kind=kind, shape=x.shape[1:]))
    count = len(x)
    drawn = augmenter.draw(
        np.random.default_rng(seed),
        x,
        np.arange(count) if classes is None else np.asarray(classes),
        np.ones(count, np.int32) if repeats is None else np.asarray(repeats),
    )
    assert drawn.dtype == np.float32
    assert drawn.shape == (count, augmenter.width)
    return drawn


def only(**settings):
    return Augmentation(**{**STILL, **settings})


def pixels(count, height, width, channels=1, seed=0):
    shape = (count, height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def vectors(count, size=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


def where_it_looks(drawn, x, y):
    """Where output pixel (x, y) of each image is read."""
    return (
        drawn[:, 0] * x + drawn[:, 1] * y + drawn[:, 2],
        drawn[:, 3] * x + drawn[:, 4] * y + drawn[:, 5],
    )


@pytest.mark.parametrize(
    "settings",
    [Augmentation(of="none", noise=1, mixing=1, flip="both"), only()],
    ids=["of none", "nothing"],
)
@pytest.mark.parametrize("x", [pixels(3, 4, 5), vectors(3)], ids=["images", "vectors"])
def test_nothing_is_drawn_where_nothing_is_asked_for(settings, x):
    drawn = draw(settings, x)
    assert drawn.shape == (3, 0)
    after = Augment()(x, drawn).numpy()
    assert after.dtype == np.float32
    np.testing.assert_array_equal(after, x)


def test_what_is_for_vectors_does_nothing_to_images_and_the_other_way_round():
    assert Augmenter(only(noise=1, mixing=1), IMAGES).width == 0
    assert Augmenter(only(shift=1, rotation=9, zoom=0.5, flip="both"), VECTORS).width == 0
    assert Augmenter(only(noise=0.1), VECTORS).width == 3
    assert Augmenter(only(flip="vertical"), IMAGES).width == 8


@pytest.mark.parametrize("x", [pixels(40, 6, 9, 3), vectors(40)], ids=["images", "vectors"])
def test_only_repeated_examples_get_new_views_if_so_asked(x):
    repeats = np.tile([1, 2, 0, 7], 10)
    settings = Augmentation(of="repeated", noise=1)
    after = Augment()(x, draw(settings, x, repeats=repeats)).numpy()
    changed = (after != x).reshape(40, -1).any(axis=1)
    np.testing.assert_array_equal(changed, repeats > 1)


@given(seed=st.integers(0, 2**32), other=st.integers(0, 2**32), count=st.integers(0, 9))
def test_the_same_generator_draws_the_same_and_another_one_other_views(seed, other, count):
    for x in (pixels(count, 4, 5), vectors(count)):
        settings = Augmentation(noise=0.5, mixing=0.5, flip="both")
        classes = np.arange(count) // 3
        first = draw(settings, x, classes, seed=seed)
        np.testing.assert_array_equal(draw(settings, x, classes, seed=seed), first)
        if seed != other and count:
            assert not np.array_equal(draw(settings, x, classes, seed=other), first)


def test_the_identity_leaves_an_image_as_it_is():
    x = pixels(1, 6, 9, 3)
    np.testing.assert_array_equal(Augment()(x, IDENTITY), x)


def test_a_shift_moves_the_image_and_repeats_the_edge():
    image = np.arange(4, dtype=np.uint8).reshape(1, 1, 4, 1)
    by_one = IDENTITY + np.array([[0, 0, 1, 0, 0, 0, 0, 0]], np.float32)
    assert Augment()(image, by_one).numpy().ravel().tolist() == [1, 2, 3, 3]


def test_views_differ_stay_near_and_keep_the_middle_of_the_image_in_sight():
    drawn = draw(Augmentation(), pixels(200, 20, 40))
    assert len(np.unique(drawn, axis=0)) == 200
    x, y = where_it_looks(drawn, 19.5, 9.5)
    assert 3 < np.abs(x - 19.5).max() <= 4.01  # a tenth of the width
    assert 1.5 < np.abs(y - 9.5).max() <= 2.01


def test_a_rotation_is_in_degrees_to_either_side():
    drawn = draw(only(rotation=90), pixels(400, 21, 21))
    x, y = where_it_looks(drawn, 15, 10)  # 5 to the right of the centre
    np.testing.assert_allclose(np.hypot(x - 10, y - 10), 5, rtol=1e-5)
    angle = np.degrees(np.arctan2(y - 10, x - 10))
    assert -90.01 < angle.min() < -80
    assert 80 < angle.max() < 90.01


def test_a_zoom_is_a_share_smaller_or_larger():
    drawn = draw(only(zoom=0.5), pixels(400, 21, 21))
    x, y = where_it_looks(drawn, 14, 8)  # 4 to the right of the centre, 2 above
    for distance, at_rest in ((x - 10, 4), (y - 10, -2)):
        share = distance / at_rest
        assert 0.499 < share.min() < 0.52
        assert 1.48 < share.max() < 1.501


@pytest.mark.parametrize("flip", ["horizontal", "vertical", "both"])
def test_flips_are_exact_and_happen_half_of_the_time(flip):
    x = np.repeat(pixels(1, 5, 8, 3), 200, axis=0)
    after = Augment()(x, draw(only(flip=flip), x)).numpy()
    mirrored = {
        (1, 1): x[0],
        (1, -1): x[0][:, ::-1],
        (-1, 1): x[0][::-1],
        (-1, -1): x[0][::-1, ::-1],
    }
    seen = {
        flips: sum(np.array_equal(image, expected) for image in after)
        for flips, expected in mirrored.items()
    }
    possible = {
        "horizontal": [(1, 1), (1, -1)],
        "vertical": [(1, 1), (-1, 1)],
        "both": list(mirrored),
    }[flip]
    assert sum(seen.values()) == 200
    for flips, times in seen.items():
        if flips in possible:
            assert abs(times - 200 / len(possible)) < 40  # over five standard deviations
        else:
            assert times == 0


def test_noise_has_the_standard_deviation_that_is_asked_for_around_the_example():
    x = vectors(500, size=40)
    drawn = draw(only(noise=0.2), x, classes=np.zeros(500))
    assert drawn.std() == pytest.approx(0.2, rel=0.02)
    assert drawn.mean() == pytest.approx(0, abs=0.01)


@given(
    classes=st.lists(st.integers(0, 4), max_size=20),
    mixing=st.floats(0.01, 1),
    seed=st.integers(0, 2**32),
)
def test_mixing_stays_between_two_examples_of_the_class_within_its_share(classes, mixing, seed):
    classes = np.array(classes, np.int64)
    x = vectors(len(classes), seed=seed)
    drawn = draw(only(mixing=mixing), x, classes, seed=seed)
    for row, moved in enumerate(drawn):
        others = [o for o in range(len(x)) if o != row and classes[o] == classes[row]]
        if not others:
            assert not moved.any()
            continue
        directions = x[others] - x[row]
        shares = (directions @ moved) / (directions**2).sum(axis=1)
        on_the_way = np.abs(shares[:, None] * directions - moved).max(axis=1) < 1e-5
        assert (on_the_way & (shares > -1e-5) & (shares < mixing + 1e-5)).any()


def test_every_other_example_of_the_class_is_mixed_in_as_often_wherever_it_stands():
    classes = np.array([5, 1, 5, 1, 5, 5])
    x = np.eye(6, dtype=np.float32)
    times = np.zeros((6, 6))
    for seed in range(600):
        drawn = draw(only(mixing=1), x, classes, seed=seed)
        times += (drawn > 0) & (np.eye(6) == 0)  # towards the others
    of_three = [times[row, other] for row in (0, 2, 4, 5) for other in (0, 2, 4, 5) if row != other]
    assert max(abs(count - 200) for count in of_three) < 60  # over five standard deviations
    assert times[1, 3] == times[3, 1] == 600
    assert times.sum() == 6 * 600


def test_noise_is_added_to_what_is_mixed():
    x = np.zeros((2, 3), np.float32)
    x[1] = 100
    drawn = draw(only(mixing=1, noise=0.1), x, classes=[0, 0])
    middle = drawn.mean(axis=1)
    assert middle[0] > 1  # mixed
    assert middle[1] < -1
    assert 0 < np.abs(drawn - middle[:, None]).max() < 0.5  # and not the same in all numbers


@pytest.mark.parametrize("x", [pixels(0, 4, 5), vectors(0)], ids=["images", "vectors"])
def test_a_batch_without_examples_is_left_empty(x):
    settings = Augmentation(noise=1, mixing=1)
    augment = tf.function(Augment())
    drawn = draw(settings, x)
    assert drawn.shape[1] in (3, 8)
    assert augment(tf.constant(x), tf.constant(drawn)).shape == x.shape


def test_views_are_exact_under_a_reduced_precision():
    x = np.full((1, 3), 1000.25, np.float32)
    drawn = np.full((1, 3), 0.0625, np.float32)
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        after = Augment()(x, drawn).numpy()
    finally:
        keras.config.set_dtype_policy(before)
    np.testing.assert_array_equal(after, np.full((1, 3), 1000.3125, np.float32))
