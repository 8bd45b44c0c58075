import numpy as np
import pytest
import slow_figures
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.evaluator import few_shot as module
from diptych.components.evaluator.few_shot import draw_subsets, few_shot
from diptych.components.trainer.distances import make_distance
from diptych.schemas.config.evaluate import FewShotPlan

KINDS = ("euclidean", "squared_euclidean", "manhattan", "cosine", "learned_l1")


def euclidean(left, right):
    return np.linalg.norm(left - right, axis=-1).astype(np.float32)


def accuracy_of(embeddings, classes, distance=euclidean, **plan):
    settings = FewShotPlan(**{"ways": (2,), "shots": (1,), "episodes": 200} | plan)
    ((figures,), notes) = few_shot(
        np.asarray(embeddings, np.float32), np.array(classes), distance, settings, 100, seed=0
    )
    assert notes == ()
    return figures.accuracy


def test_classes_apart_are_always_told_right_and_an_interval_says_so():
    apart = np.repeat(np.arange(6), 3)[:, None] * 10.0
    accuracy = accuracy_of(apart, np.repeat(np.arange(6), 3), ways=(5,), shots=(2,))
    assert accuracy.model_dump() == {"value": 1, "low": 1, "high": 1}


def test_a_hand_made_accuracy():
    # Class 0 at 0 and 3, class 1 at 4 and 9. With one shot: 0 asks with 3 known, right whether 4
    # or 9 is the other; 3 asks with 0 known, 4 is nearer, 9 is not; 4 with 9 known: 0 is nearer,
    # and so is 3; 9 with 4 known is always right.
    line = np.array([[0], [3], [4], [9]])
    accuracy = accuracy_of(line, [0, 0, 1, 1], episodes=20_000)
    assert accuracy.value == pytest.approx((1 + 0.5 + 0 + 1) / 4, abs=0.01)
    assert accuracy.low < accuracy.value < accuracy.high


def test_random_embeddings_are_told_by_chance():
    generator = np.random.default_rng(0)
    noise = generator.normal(size=(2000, 8))
    accuracy = accuracy_of(noise, np.arange(2000) % 100, ways=(20,), shots=(5,), episodes=1000)
    assert accuracy.low < 1 / 20 < accuracy.high


def test_embeddings_that_are_all_the_same_are_never_told_right():
    assert accuracy_of(np.ones((40, 3)), np.arange(40) % 4, ways=(4,)).value == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_distance_of_every_kind_tells_alike_ones_right_and_unlike_ones_wrong(kind):
    distance = make_distance(kind)
    distance.build((None, 2), (None, 2))
    if kind == "learned_l1":
        distance.set_weights([np.array([[-3], [-3]], np.float32), np.array([1], np.float32)])
    alike = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]])

    def measure(left, right):
        return np.asarray(distance(left, right))

    assert accuracy_of(alike, [0, 0, 1, 1], measure).value == 1
    assert accuracy_of(alike, [0, 1, 0, 1], measure).value < 0.4


@settings(max_examples=20, deadline=None)
@given(shots=st.integers(1, 4), ways=st.integers(2, 5), seed=st.integers(0, 2**32))
def test_each_query_is_told_as_a_loop_tells_it(shots, ways, seed):
    generator = np.random.default_rng(seed)
    embeddings = generator.normal(size=(30, 2)).astype(np.float32)
    rows = np.stack(
        [generator.permutation(30)[: ways * (1 + shots)].reshape(ways, -1) for _ in range(7)]
    )
    told = module._told_right(embeddings, rows, euclidean)
    for episode, drawn in enumerate(rows):
        for way, own in enumerate(drawn):
            others = [embeddings[other[1:]] for j, other in enumerate(drawn) if j != way]
            slow = slow_figures.told_right(
                *(embeddings[own[0]], embeddings[own[1:]], others, euclidean)
            )
            assert told[episode, way] == slow


def test_no_example_is_known_and_asked_for_and_every_one_is_asked_for_as_often(monkeypatch):
    episodes = []
    monkeypatch.setattr(
        module,
        "_told_right",
        lambda _, rows, __: episodes.append(rows) or np.ones(rows.shape[:2], bool),
    )
    classes = np.random.default_rng(0).permutation(np.repeat([5, 8, 9, 30], [4, 6, 4, 3]))
    accuracy_of(np.zeros((17, 1)), classes, ways=(3,), shots=(2,), episodes=40_000)
    (rows,) = episodes
    flat = np.sort(rows.reshape(len(rows), -1), axis=1)
    assert (np.diff(flat, axis=1) > 0).all()  # all different
    of_class = classes[rows]
    assert (of_class == of_class[:, :, :1]).all()
    asked = np.bincount(rows[:, :, 0].ravel(), minlength=17) / len(rows)
    # A class is in 3 of 4 episodes, and of its n examples each asks in 1 of n of these.
    _, number, sizes = np.unique(classes, return_inverse=True, return_counts=True)
    assert asked == pytest.approx(0.75 / sizes[number], abs=0.01)


def test_every_subset_is_as_likely():
    drawn = draw_subsets(np.full(60_000, 5), 3, np.random.default_rng(0))
    subsets, counts = np.unique(np.sort(drawn, axis=1), axis=0, return_counts=True)
    assert len(subsets) == 10
    assert counts / 60_000 == pytest.approx(np.full(10, 0.1), abs=0.01)


def test_sizes_that_the_classes_do_not_suffice_for_are_named():
    plan = FewShotPlan(ways=(2, 5), shots=(1, 3), episodes=10)
    classes = np.repeat(np.arange(5), [4, 4, 2, 2, 2])
    embeddings = np.arange(14, dtype=np.float32)[:, None]
    figures, notes = few_shot(embeddings, classes, euclidean, plan, resamples=10, seed=0)
    assert [(one.ways, one.shots, one.classes) for one in figures] == [
        (2, 1, 5),
        (2, 3, 2),
        (5, 1, 5),
    ]
    assert notes == ("5-way 3-shot needs 5 classes of at least 4 examples, and 2 have as many",)


def test_the_same_seed_draws_the_same_episodes_and_another_seed_others():
    generator = np.random.default_rng(1)
    noise, classes = generator.normal(size=(60, 3)).astype(np.float32), np.arange(60) % 6
    plan = FewShotPlan(ways=(5,), shots=(1,), episodes=50)

    def figures(seed):
        return few_shot(noise, classes, euclidean, plan, resamples=20, seed=seed)

    assert figures(3) == figures(3)
    assert figures(3) != figures(4)
