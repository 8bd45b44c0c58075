import numpy as np
import pytest

from diptych.components.pair_gen.plan import make_plan
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.input_spec import Column, InputSpec

VECTOR = InputSpec(kind="vector", columns=(Column(name="a"),))
PAIRED = VECTOR.model_copy(update={"right_columns": (Column(name="b"),)})


def find_warnings(counts, inputs=VECTOR, **settings):
    keys = np.arange(len(counts), dtype=np.uint64)
    return make_plan("train", keys, np.array(counts), PairsConfig(**settings), inputs).warnings


def test_a_plan_that_follows_the_configuration_has_no_warnings():
    assert find_warnings([4] * 8) == ()
    assert find_warnings([20, 6], PAIRED, classes_per_batch=2) == ()


@pytest.mark.parametrize("sampling", ["oversample", "undersample", "natural", "inverse_frequency"])
def test_more_classes_per_batch_than_classes_gives_a_warning(sampling):
    assert find_warnings([4, 4, 4], sampling=sampling) == (
        "pairs.classes_per_batch is 8, but the data have only 3 classes: every "
        "batch contains all of them.",
    )


def test_more_examples_per_class_than_the_largest_has_gives_a_warning():
    assert find_warnings([9, 4, 5], classes_per_batch=3, examples_per_class=10) == (
        "pairs.examples_per_class is 10, but the largest class has 9 examples: batches contain "
        "all examples of a class.",
    )


def test_chunks_without_negatives_give_a_warning():
    (warning,) = find_warnings([80, 4], classes_per_batch=2, sampling="natural")
    assert "17 of its 20 chunks per round have no negatives" in warning
    assert "pairs.sampling" in warning


def test_max_repeats_that_ends_a_round_of_given_pairs_gives_a_warning():
    # Batches have 4 pairs, 2 of each kind: 50 for the more common kind, 3 for the rarer.
    assert find_warnings([100, 6], PAIRED, classes_per_batch=2, max_repeats=4) == (
        "pairs.max_repeats of 4 ends a round after 12 of 50 batches; the next round continues "
        "from there.",
    )
