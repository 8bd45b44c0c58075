import numpy as np
import pytest

from diptych.pipeline.report.points import COLOURED, evenly, project


def test_components_are_the_directions_of_most_variance():
    corners = np.array([[8, 0, 0, 5], [-8, 0, 0, 5], [0, 4, 0, 5], [0, -4, 0, 5], [0, 0, 2, 5]])
    corners = np.vstack([corners, [[0, 0, -2, 5]]]).astype(np.float32)
    points = project(corners, list("aabbcc"), np.ones(6, bool))
    # Variances are as 64 to 16 to 4; the longest is scaled to 1.
    assert points.explained == pytest.approx((64 / 84, 16 / 84, 4 / 84))
    assert np.abs(points.xyz[0]) == pytest.approx([1, 0, 0], abs=1e-6)
    assert np.abs(points.xyz[2]) == pytest.approx([0, 0.5, 0], abs=1e-6)
    assert np.abs(points.xyz[4]) == pytest.approx([0, 0, 0.25], abs=1e-6)
    assert points.groups == ["a", "b", "c"]
    assert points.group.tolist() == [0, 0, 1, 1, 2, 2]


def test_small_classes_share_one_grey():
    labels = [f"{number:02}" for number in range(COLOURED)] * 2 + ["rare", "rarer"]
    embeddings = np.random.default_rng(0).normal(size=(len(labels), 5))
    points = project(embeddings, labels, np.ones(len(labels), bool))
    assert points.groups == labels[:COLOURED]
    assert points.group[-2:].tolist() == [-1, -1]
    assert points.num_others == 2


def test_data_that_came_in_pairs_have_no_groups():
    embeddings = np.random.default_rng(0).normal(size=(9, 5))
    points = project(embeddings, [""] * 9, np.ones(9, bool))
    assert points.groups == []
    assert set(points.group.tolist()) == {-1}


def test_embeddings_of_two_numbers_lie_in_a_plane():
    embeddings = np.random.default_rng(0).normal(size=(9, 2))
    points = project(embeddings, ["a"] * 9, np.ones(9, bool))
    assert len(points.explained) == 2
    assert not points.xyz[:, 2].any()


@pytest.mark.parametrize("embeddings", [np.ones((9, 4)), np.eye(2), np.full((9, 4), np.nan)])
def test_nothing_is_shown_of_one_place_or_of_too_few(embeddings):
    labels = ["a"] * len(embeddings)
    assert project(embeddings, labels, np.ones(len(embeddings), bool)) is None


def test_rows_are_chosen_at_even_steps():
    assert evenly(10, 4).tolist() == [0, 2, 5, 7]
    assert evenly(3, 4).tolist() == [0, 1, 2]
