import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.evaluator.label_errors import find_label_errors


class Euclidean:
    distance_name = "euclidean"
    distance_weights = None

    def distance(self, left, right):
        return np.linalg.norm(left - right, axis=1)


def separable_data(seed, classes=6, each=40, size=8):
    """Embeddings in separate clusters, their classes, and which examples were held out."""
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    centres = np.eye(size)[:classes] * 10
    embeddings = (centres[labels] + generator.normal(size=(len(labels), size))).astype(np.float32)
    return embeddings, labels, generator.random(len(labels)) < 0.4


def flip_labels(labels, fraction, seed):
    """Give every n-th label another value; return the labels and which are wrong."""
    generator = np.random.default_rng(seed)
    wrong = generator.random(len(labels)) < fraction
    shift = generator.integers(1, labels.max() + 1, len(labels))
    return np.where(wrong, (labels + shift) % (labels.max() + 1), labels), wrong


@pytest.mark.parametrize("seed", range(5))
def test_wrong_labels_of_separable_classes_are_found_with_the_right_suggestion(seed):
    embeddings, labels, held_out = separable_data(seed)
    given_labels, wrong = flip_labels(labels, 0.05, seed)
    errors = find_label_errors(embeddings, given_labels, held_out, Euclidean())
    assert set(errors.row) == set(np.flatnonzero(wrong & held_out))
    np.testing.assert_array_equal(errors.suggested, labels[errors.row])
    assert errors.num_judged == held_out.sum()
    assert ((errors.score > 0.5) & (errors.score <= 1)).all()
    assert (np.diff(errors.score) <= 0).all()


@pytest.mark.parametrize("seed", range(5))
def test_nothing_is_suspected_in_clean_data(seed):
    embeddings, labels, held_out = separable_data(seed)
    errors = find_label_errors(embeddings, labels, held_out, Euclidean())
    assert len(errors.row) == 0
    assert errors.agreement == 1
    assert errors.is_reliable


def test_the_neighbours_and_the_score_of_an_error_by_hand():
    # Class 0 at 0 .. 6, class 1 at 100 .. 106, and an example at 103.4 that is labelled 0.
    positions = [*range(7), *range(100, 107), 103.4]
    embeddings = np.array(positions, np.float32)[:, None]
    classes = np.array([0] * 7 + [1] * 7 + [0])
    errors = find_label_errors(embeddings, classes, np.ones(15, bool), Euclidean())
    assert (errors.row.tolist(), errors.suggested.tolist()) == ([14], [1])
    # Seven other examples have the label 0, so seven neighbours are used: 103, 104, 102, ...
    assert errors.neighbours.tolist() == [[10, 11, 9, 12, 8, 13, 7, -1, -1, -1]]
    # All of them have the label 1. The nearest of label 0 is at 6, the nearest of label 1 at 103.
    assert errors.score[0] == pytest.approx(97.4 / (97.4 + 0.4), rel=1e-4)
    assert (errors.num_judged, errors.num_too_rare) == (15, 0)
    assert errors.agreement == pytest.approx(14 / 15)


def test_a_training_example_is_never_judged():
    embeddings, labels, held_out = separable_data(0)
    given_labels = labels.copy()
    wrong = np.flatnonzero(~held_out)[:3]
    given_labels[wrong] = (labels[wrong] + 1) % 6
    errors = find_label_errors(embeddings, given_labels, held_out, Euclidean())
    assert len(errors.row) == 0


def test_a_class_with_few_examples_is_not_judged():
    embeddings, labels, held_out = separable_data(1)
    labels = labels.copy()
    labels[:5] = 6  # a new class of five: each has four others, fewer than five neighbours
    held_out[:] = True
    errors = find_label_errors(embeddings, labels, held_out, Euclidean())
    assert (errors.num_judged, errors.num_too_rare) == (len(labels) - 5, 5)
    assert len(errors.row) == 0


def test_a_divided_neighbourhood_is_no_majority():
    # Among the ten neighbours of the last example are 7 of class 1 and 3 of class 2.
    embeddings = np.zeros((31, 1), np.float32)
    embeddings[:10, 0] = 1000 + np.arange(10)  # class 0
    embeddings[10:20, 0] = [*np.linspace(1, 1.6, 7), 500, 501, 502]  # class 1
    embeddings[20:30, 0] = [*np.linspace(2, 2.2, 3), *np.arange(600, 607)]  # class 2
    classes = np.array([0] * 10 + [1] * 10 + [2] * 10 + [0])
    held_out = np.ones(31, bool)
    errors = find_label_errors(embeddings, classes, held_out, Euclidean())
    assert 30 not in errors.row


def test_an_embedding_without_signal_is_no_evidence():
    generator = np.random.default_rng(0)
    embeddings = generator.normal(size=(200, 4)).astype(np.float32)
    errors = find_label_errors(
        embeddings, generator.integers(0, 2, 200), np.ones(200, bool), Euclidean()
    )
    assert not errors.is_reliable
    assert len(errors.row) == 0


def test_a_class_that_the_model_confuses_is_not_reported_example_by_example():
    embeddings, labels, held_out = separable_data(2)
    held_out[:] = True
    embeddings[labels == 5] = embeddings[labels == 4]  # the model cannot distinguish them
    embeddings[labels == 5] += 1e-3
    labels[(labels == 5).nonzero()[0][:30]] = 4
    errors = find_label_errors(embeddings, labels, held_out, Euclidean())
    assert errors.confused == (5,)
    assert len(errors.row) == 0


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100), fraction=st.sampled_from([0.0, 0.02, 0.1]))
def test_suspicions_do_not_depend_on_the_order_of_the_examples(seed, fraction):
    embeddings, labels, held_out = separable_data(seed, classes=4, each=15)
    given_labels, _ = flip_labels(labels, fraction, seed)
    errors = find_label_errors(embeddings, given_labels, held_out, Euclidean())
    order = np.random.default_rng(seed).permutation(len(labels))
    again = find_label_errors(embeddings[order], given_labels[order], held_out[order], Euclidean())
    assert set(errors.row) == set(order[again.row])
    np.testing.assert_allclose(errors.score, again.score, rtol=1e-5)
