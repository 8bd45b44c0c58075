import numpy as np
import pytest

from diptych.components.pair_gen.plan import make_plan
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.input_spec import Column, Inputs

VECTOR = Inputs(kind="vector", columns=(Column(name="a"),))
PAIRED = VECTOR.model_copy(update={"right_columns": (Column(name="b"),)})


def notes(counts, inputs=VECTOR, **settings):
    keys = np.arange(len(counts), dtype=np.uint64)
    return make_plan("train", keys, np.array(counts), Pairs(**settings), inputs).notes


def test_a_plan_that_follows_the_configuration_has_none():
    assert notes([4] * 8) == ()
    assert notes([20, 6], PAIRED, classes_per_batch=2) == ()


@pytest.mark.parametrize("policy", ["oversample", "undersample", "natural", "inverse_frequency"])
def test_more_classes_a_batch_than_there_are_are_told(policy):
    assert notes([4, 4, 4], policy=policy) == (
        "pairs.classes_per_batch is 8, but there are 3 classes: batches hold all of them.",
    )


def test_more_examples_a_class_than_the_largest_has_are_told():
    assert notes([9, 4, 5], classes_per_batch=3, examples_per_class=10) == (
        "pairs.examples_per_class is 10, but the largest class has 9 examples: batches hold whole "
        "classes.",
    )


def test_chunks_that_find_no_partner_are_told():
    (note,) = notes([80, 4], classes_per_batch=2, policy="natural")
    assert "17 of its 20 chunks of a round find no partner" in note
    assert "pairs.policy" in note


def test_a_round_that_max_repeats_ends_is_told_of_given_pairs():
    # Batches hold 4 pairs, 2 of a kind: 50 batches for the commoner kind, 3 for the rarer.
    assert notes([100, 6], PAIRED, classes_per_batch=2, max_repeats=4) == (
        "pairs.max_repeats of 4 ends a round after 12 of 50 batches; the next round goes on from "
        "there.",
    )
