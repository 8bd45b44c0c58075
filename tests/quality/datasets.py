"""The data sets of the quality runs, and what is expected of a model trained on each."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from quality import unseen
from quality.figures import Figure, as_figure

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY / "demo" / "data"  # where the example configurations look for it


@dataclasses.dataclass(frozen=True)
class Expectation:
    """A figure of a finished run: ``measure`` takes the run's root."""

    what: str
    at_least: float
    measure: Callable[[Path], Figure]


@dataclasses.dataclass(frozen=True)
class DataSet:
    """``pipeline/examples/NAME.yaml``, and ``MAKER.py`` beside it, which writes the data."""

    name: str
    maker: str
    folder: str  # in DATA
    expectations: tuple[Expectation, ...]
    arguments: tuple[str, ...] = ()  # of the maker, after the folder

    @property
    def config(self) -> Path:
        """The configuration file."""
        return REPOSITORY / "pipeline" / "examples" / f"{self.name}.yaml"

    @property
    def script(self) -> Path:
        """The maker of the data."""
        return self.config.with_name(f"{self.maker}.py")


def _of_the_test_split(root: Path) -> Figure:
    """What the Evaluator found for the exported model at the calibrated threshold."""
    return as_figure(unseen.evaluation_of(root).pairs.calibrated.accuracy)


def _of_rectangles(root: Path) -> Figure:
    return unseen.pair_accuracy(root, DATA / "shapes" / "unseen")


def _one_shot(root: Path) -> Figure:
    return unseen.one_shot(root, DATA / "optdigits")


def _of_twenty_ways(root: Path) -> Figure:
    unseen_classes = unseen.evaluation_of(root).slice("unseen")
    assert unseen_classes is not None  # the split is by class
    (found,) = (one for one in unseen_classes.few_shot if (one.ways, one.shots) == (20, 1))
    return as_figure(found.accuracy)


_PAIRS = "test pairs"
DATA_SETS = (
    DataSet("mnist", "mnist_digits", "digits", (Expectation(_PAIRS, 0.98, _of_the_test_split),)),
    DataSet(
        "mnist_mild",
        "mnist_digits",
        "digits-mild",
        (Expectation(_PAIRS, 0.99, _of_the_test_split),),
        arguments=("0.9",),
    ),
    DataSet(
        "shapes",
        "shapes",
        "shapes",
        (
            Expectation(_PAIRS, 1.0, _of_the_test_split),
            Expectation("pairs of an unseen shape", 1.0, _of_rectangles),
        ),
    ),
    DataSet("letters", "letters", "letters", (Expectation(_PAIRS, 0.95, _of_the_test_split),)),
    DataSet("letter_pairs", "letters", "letters", (Expectation(_PAIRS, 0.95, _of_the_test_split),)),
    DataSet(
        "optdigits",
        "optdigits",
        "optdigits",
        (
            Expectation("test pairs, unseen classes", 0.7, _of_the_test_split),
            Expectation("one-shot, 3 unseen classes", 0.7, _one_shot),
        ),
    ),
    DataSet(
        "characters",
        "characters",
        "characters",
        (
            Expectation("test pairs, unseen classes", 0.93, _of_the_test_split),
            Expectation("one-shot, 20 of 25 unseen classes", 0.85, _of_twenty_ways),
        ),
    ),
)
