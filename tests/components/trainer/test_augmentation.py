import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from diptych.components.trainer.augmentation import Augmenter
from diptych.components.trainer.augmentation_layer import AugmentationLayer
from diptych.schemas.config.train import AugmentationConfig
from diptych.schemas.shards import InputShape

IDENTITY = np.array([[1, 0, 0, 0, 1, 0, 0, 0]], np.float32)
DISABLED = {"shift": 0, "rotation": 0, "zoom": 0, "flip": "none", "noise": 0, "mixing": 0}
IMAGES = InputShape(kind="image", shape=(20, 40, 1))
VECTORS = InputShape(kind="vector", shape=(3,))


def sample(settings, x, classes=None, repeats=None, seed=0):
    kind = "image" if x.dtype == np.uint8 else "vector"
    augmenter = Augmenter(settings, InputShape(kind=kind, shape=x.shape[1:]))
    count = len(x)
    noise = augmenter.sample(
        np.random.default_rng(seed),
        x,
        np.arange(count) if classes is None else np.asarray(classes),
        np.ones(count, np.int32) if repeats is None else np.asarray(repeats),
    )
    assert noise.dtype == np.float32
    assert noise.shape == (count, augmenter.noise_size)
    return noise


def augmentation_with(**settings):
    return AugmentationConfig(**{**DISABLED, **settings})


def random_images(count, height, width, channels=1, seed=0):
    shape = (count, height, width, channels)
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def random_vectors(count, size=3, seed=0):
    return np.random.default_rng(seed).normal(size=(count, size)).astype(np.float32)


def transform_points(noise, x, y):
    """Input coordinates of output pixel (x, y), per image."""
    return (
        noise[:, 0] * x + noise[:, 1] * y + noise[:, 2],
        noise[:, 3] * x + noise[:, 4] * y + noise[:, 5],
    )


@pytest.mark.parametrize(
    "settings",
    [AugmentationConfig(apply_to="none", noise=1, mixing=1, flip="both"), augmentation_with()],
    ids=["of none", "nothing"],
)
@pytest.mark.parametrize(
    "x", [random_images(3, 4, 5), random_vectors(3)], ids=["images", "vectors"]
)
def test_without_augmentation_nothing_changes(settings, x):
    noise = sample(settings, x)
    assert noise.shape == (3, 0)
    after = AugmentationLayer()(x, noise).numpy()
    assert after.dtype == np.float32
    np.testing.assert_array_equal(after, x)


def test_vector_settings_do_not_affect_images_and_vice_versa():
    assert Augmenter(augmentation_with(noise=1, mixing=1), IMAGES).noise_size == 0
    assert (
        Augmenter(augmentation_with(shift=1, rotation=9, zoom=0.5, flip="both"), VECTORS).noise_size
        == 0
    )
    assert Augmenter(augmentation_with(noise=0.1), VECTORS).noise_size == 3
    assert Augmenter(augmentation_with(flip="vertical"), IMAGES).noise_size == 8


@pytest.mark.parametrize(
    "x", [random_images(40, 6, 9, 3), random_vectors(40)], ids=["images", "vectors"]
)
def test_only_repeated_examples_are_augmented_if_configured(x):
    repeats = np.tile([1, 2, 0, 7], 10)
    settings = AugmentationConfig(apply_to="repeated", noise=1)
    after = AugmentationLayer()(x, sample(settings, x, repeats=repeats)).numpy()
    changed = (after != x).reshape(40, -1).any(axis=1)
    np.testing.assert_array_equal(changed, repeats > 1)


@given(seed=st.integers(0, 2**32), other=st.integers(0, 2**32), count=st.integers(0, 9))
def test_the_result_depends_on_the_generator_only(seed, other, count):
    for x in (random_images(count, 4, 5), random_vectors(count)):
        settings = AugmentationConfig(noise=0.5, mixing=0.5, flip="both")
        classes = np.arange(count) // 3
        first = sample(settings, x, classes, seed=seed)
        np.testing.assert_array_equal(sample(settings, x, classes, seed=seed), first)
        if seed != other and count:
            assert not np.array_equal(sample(settings, x, classes, seed=other), first)


def test_the_identity_does_not_change_an_image():
    x = random_images(1, 6, 9, 3)
    np.testing.assert_array_equal(AugmentationLayer()(x, IDENTITY), x)


def test_a_shift_moves_the_image_and_repeats_the_edge():
    image = np.arange(4, dtype=np.uint8).reshape(1, 1, 4, 1)
    by_one = IDENTITY + np.array([[0, 0, 1, 0, 0, 0, 0, 0]], np.float32)
    assert AugmentationLayer()(image, by_one).numpy().ravel().tolist() == [1, 2, 3, 3]


def test_shifts_differ_and_stay_within_a_tenth_of_the_image():
    noise = sample(AugmentationConfig(), random_images(200, 20, 40))
    assert len(np.unique(noise, axis=0)) == 200
    x, y = transform_points(noise, 19.5, 9.5)
    assert 3 < np.abs(x - 19.5).max() <= 4.01  # a tenth of the width
    assert 1.5 < np.abs(y - 9.5).max() <= 2.01


def test_rotations_are_in_degrees_in_both_directions():
    noise = sample(augmentation_with(rotation=90), random_images(400, 21, 21))
    x, y = transform_points(noise, 15, 10)  # 5 to the right of the center
    np.testing.assert_allclose(np.hypot(x - 10, y - 10), 5, rtol=1e-5)
    angle = np.degrees(np.arctan2(y - 10, x - 10))
    assert -90.01 < angle.min() < -80
    assert 80 < angle.max() < 90.01


def test_zoom_scales_by_a_fraction_in_both_directions():
    noise = sample(augmentation_with(zoom=0.5), random_images(400, 21, 21))
    x, y = transform_points(noise, 14, 8)  # 4 to the right of the center, 2 above
    for transformed, original in ((x - 10, 4), (y - 10, -2)):
        scale = transformed / original
        assert 0.499 < scale.min() < 0.52
        assert 1.48 < scale.max() < 1.501


@pytest.mark.parametrize("flip", ["horizontal", "vertical", "both"])
def test_flips_are_exact_and_have_a_probability_of_one_half(flip):
    x = np.repeat(random_images(1, 5, 8, 3), 200, axis=0)
    after = AugmentationLayer()(x, sample(augmentation_with(flip=flip), x)).numpy()
    mirrored = {
        (1, 1): x[0],
        (1, -1): x[0][:, ::-1],
        (-1, 1): x[0][::-1],
        (-1, -1): x[0][::-1, ::-1],
    }
    counts = {
        flips: sum(np.array_equal(image, expected) for image in after)
        for flips, expected in mirrored.items()
    }
    possible = {
        "horizontal": [(1, 1), (1, -1)],
        "vertical": [(1, 1), (-1, 1)],
        "both": list(mirrored),
    }[flip]
    assert sum(counts.values()) == 200
    for flips, count in counts.items():
        if flips in possible:
            assert abs(count - 200 / len(possible)) < 40  # over five standard deviations
        else:
            assert count == 0


def test_noise_has_the_configured_standard_deviation():
    x = random_vectors(500, size=40)
    noise = sample(augmentation_with(noise=0.2), x, classes=np.zeros(500))
    assert noise.std() == pytest.approx(0.2, rel=0.02)
    assert noise.mean() == pytest.approx(0, abs=0.01)


@given(
    classes=st.lists(st.integers(0, 4), max_size=20),
    mixing=st.floats(0.01, 1),
    seed=st.integers(0, 2**32),
)
def test_mixing_moves_towards_another_example_of_the_class(classes, mixing, seed):
    classes = np.array(classes, np.int64)
    x = random_vectors(len(classes), seed=seed)
    noise = sample(augmentation_with(mixing=mixing), x, classes, seed=seed)
    for row, offset in enumerate(noise):
        others = [o for o in range(len(x)) if o != row and classes[o] == classes[row]]
        if not others:
            assert not offset.any()
            continue
        directions = x[others] - x[row]
        fractions = (directions @ offset) / (directions**2).sum(axis=1)
        is_parallel = np.abs(fractions[:, None] * directions - offset).max(axis=1) < 1e-5
        assert (is_parallel & (fractions > -1e-5) & (fractions < mixing + 1e-5)).any()


def test_all_other_examples_of_the_class_are_chosen_equally_often():
    classes = np.array([5, 1, 5, 1, 5, 5])
    x = np.eye(6, dtype=np.float32)
    counts = np.zeros((6, 6))
    for seed in range(600):
        noise = sample(augmentation_with(mixing=1), x, classes, seed=seed)
        counts += (noise > 0) & (np.eye(6) == 0)  # positive towards the chosen example
    class_of_four = [
        counts[row, other] for row in (0, 2, 4, 5) for other in (0, 2, 4, 5) if row != other
    ]
    assert max(abs(count - 200) for count in class_of_four) < 60  # over five standard deviations
    assert counts[1, 3] == counts[3, 1] == 600
    assert counts.sum() == 6 * 600


def test_noise_is_added_to_the_mixed_vector():
    x = np.zeros((2, 3), np.float32)
    x[1] = 100
    noise = sample(augmentation_with(mixing=1, noise=0.1), x, classes=[0, 0])
    middle = noise.mean(axis=1)
    assert middle[0] > 1  # mixed
    assert middle[1] < -1
    assert 0 < np.abs(noise - middle[:, None]).max() < 0.5  # and different in each dimension


@pytest.mark.parametrize(
    "x", [random_images(0, 4, 5), random_vectors(0)], ids=["images", "vectors"]
)
def test_an_empty_batch_stays_empty(x):
    settings = AugmentationConfig(noise=1, mixing=1)
    augment = tf.function(AugmentationLayer())
    noise = sample(settings, x)
    assert noise.shape[1] in (3, 8)
    assert augment(tf.constant(x), tf.constant(noise)).shape == x.shape


def test_augmentation_is_computed_in_float32_under_mixed_precision():
    x = np.full((1, 3), 1000.25, np.float32)
    noise = np.full((1, 3), 0.0625, np.float32)
    previous = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    try:
        after = AugmentationLayer()(x, noise).numpy()
    finally:
        keras.config.set_dtype_policy(previous)
    np.testing.assert_array_equal(after, np.full((1, 3), 1000.3125, np.float32))
