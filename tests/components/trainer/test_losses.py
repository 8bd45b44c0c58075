import keras
import numpy as np
import pytest

from diptych.components.trainer.losses import ContrastiveLoss, euclidean_distance


def test_hand_made_values():
    same = np.array([1, 1, 0, 0, 0], np.float32)
    distance = np.array([0.0, 0.5, 0.25, 1.0, 3.0], np.float32)
    loss = ContrastiveLoss(margin=1.0, reduction="none")(same, distance)
    # d**2 for the same pairs; (1 - d)**2 up to the margin for the different ones.
    assert np.asarray(loss).tolist() == [0.0, 0.25, 0.5625, 0.0, 0.0]


def test_it_equals_a_slow_loop():
    generator = np.random.default_rng(3)
    same = generator.integers(0, 2, 50).astype(np.float32)
    distance = generator.uniform(0, 2, 50).astype(np.float32)
    slow = [d * d if s == 1 else max(0.7 - d, 0) ** 2 for s, d in zip(same, distance, strict=True)]
    loss = ContrastiveLoss(margin=0.7)(same, distance)
    assert float(loss) == pytest.approx(np.mean(slow), rel=1e-5)


@pytest.mark.parametrize("shape", [(4, 1), ()])
def test_a_shape_that_would_broadcast_is_refused(shape):
    with pytest.raises(ValueError, match=r"shape \(m,\)"):
        ContrastiveLoss()(np.ones(shape, np.float32), np.ones(4, np.float32))


def test_a_margin_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="margin must be above 0, got 0"):
        ContrastiveLoss(margin=0)


def test_it_is_saved_with_its_margin():
    again = keras.losses.deserialize(keras.losses.serialize(ContrastiveLoss(margin=0.3)))
    assert isinstance(again, ContrastiveLoss)
    assert again.margin == 0.3


def test_distance_of_hand_made_embeddings_goes_down_when_alike():
    left = np.array([[0.0, 0.0], [1.0, 0.0]], np.float32)
    right = np.array([[3.0, 4.0], [1.0, 0.0]], np.float32)
    distance = np.asarray(euclidean_distance(left, right))
    assert distance[0] == pytest.approx(5.0)
    assert distance[1] == pytest.approx(0.0, abs=1e-5)
