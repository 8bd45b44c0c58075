import numpy as np
import pytest

from diptych.components.common.sampling import evenly_spaced
from diptych.pipeline.report.pca_projection import MAX_COLOURED_CLASSES, project_embeddings


def test_components_are_the_directions_of_largest_variance():
    corners = np.array([[8, 0, 0, 5], [-8, 0, 0, 5], [0, 4, 0, 5], [0, -4, 0, 5], [0, 0, 2, 5]])
    corners = np.vstack([corners, [[0, 0, -2, 5]]]).astype(np.float32)
    projection = project_embeddings(corners, list("aabbcc"), np.ones(6, bool))
    # The variances have the ratio 64 : 16 : 4; the longest vector is scaled to 1.
    assert projection.explained_variance == pytest.approx((64 / 84, 16 / 84, 4 / 84))
    assert np.abs(projection.xyz[0]) == pytest.approx([1, 0, 0], abs=1e-6)
    assert np.abs(projection.xyz[2]) == pytest.approx([0, 0.5, 0], abs=1e-6)
    assert np.abs(projection.xyz[4]) == pytest.approx([0, 0, 0.25], abs=1e-6)
    assert projection.groups == ["a", "b", "c"]
    assert projection.group.tolist() == [0, 0, 1, 1, 2, 2]


def test_small_classes_have_no_group():
    labels = [f"{number:02}" for number in range(MAX_COLOURED_CLASSES)] * 2 + ["rare", "rarer"]
    embeddings = np.random.default_rng(0).normal(size=(len(labels), 5))
    projection = project_embeddings(embeddings, labels, np.ones(len(labels), bool))
    assert projection.groups == labels[:MAX_COLOURED_CLASSES]
    assert projection.group[-2:].tolist() == [-1, -1]
    assert projection.num_others == 2


def test_given_pairs_have_no_groups():
    embeddings = np.random.default_rng(0).normal(size=(9, 5))
    projection = project_embeddings(embeddings, [""] * 9, np.ones(9, bool))
    assert projection.groups == []
    assert set(projection.group.tolist()) == {-1}


def test_embeddings_of_size_two_have_a_zero_third_component():
    embeddings = np.random.default_rng(0).normal(size=(9, 2))
    projection = project_embeddings(embeddings, ["a"] * 9, np.ones(9, bool))
    assert len(projection.explained_variance) == 2
    assert not projection.xyz[:, 2].any()


@pytest.mark.parametrize("embeddings", [np.ones((9, 4)), np.eye(2), np.full((9, 4), np.nan)])
def test_identical_too_few_or_nan_embeddings_have_no_projection(embeddings):
    labels = ["a"] * len(embeddings)
    assert project_embeddings(embeddings, labels, np.ones(len(embeddings), bool)) is None


def test_rows_are_chosen_at_even_steps():
    assert evenly_spaced(10, 4).tolist() == [0, 2, 5, 7]
    assert evenly_spaced(3, 4).tolist() == [0, 1, 2]
