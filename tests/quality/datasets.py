"""Data sets of the quality runs, and the metrics required of a model trained on each."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from quality.metrics import Metric, metric_from_estimate
from quality.pushed_model_metrics import one_shot_test_accuracy, pair_accuracy, read_report

REPOSITORY = Path(__file__).parents[2]
DATA = REPOSITORY / "demo" / "data"  # as in the example configurations


@dataclasses.dataclass(frozen=True)
class Expectation:
    """A metric of a finished run and its required minimum.

    Attributes:
      name: Name of the metric.
      minimum: Required minimum in [0, 1].
      measure: Function from the pipeline root to the metric.
    """

    name: str
    minimum: float
    measure: Callable[[Path], Metric]


@dataclasses.dataclass(frozen=True)
class DataSet:
    """An example configuration and its data.

    Attributes:
      name: The configuration is ``pipeline/examples/NAME.yaml``.
      maker: The data are written by ``pipeline/examples/MAKER.py``.
      folder: Folder of the data in ``DATA``.
      expectations: Required metrics.
      arguments: Arguments of the maker after the folder.
    """

    name: str
    maker: str
    folder: str
    expectations: tuple[Expectation, ...]
    arguments: tuple[str, ...] = ()

    @property
    def config(self) -> Path:
        """Path of the configuration file."""
        return REPOSITORY / "pipeline" / "examples" / f"{self.name}.yaml"

    @property
    def script(self) -> Path:
        """Path of the script that writes the data."""
        return self.config.with_name(f"{self.maker}.py")


def _evaluator_accuracy(root: Path) -> Metric:
    """Read the accuracy at the calibrated threshold, as measured by the Evaluator."""
    return metric_from_estimate(read_report(root).pairs.calibrated.accuracy)


def _rectangle_pair_accuracy(root: Path) -> Metric:
    return pair_accuracy(root, DATA / "shapes" / "unseen")


def _digit_one_shot_accuracy(root: Path) -> Metric:
    return one_shot_test_accuracy(root, DATA / "optdigits")


def _twenty_way_accuracy(root: Path) -> Metric:
    unseen_classes = read_report(root).slice("unseen")
    assert unseen_classes is not None  # the split is by class
    (few_shot,) = (each for each in unseen_classes.few_shot if (each.ways, each.shots) == (20, 1))
    return metric_from_estimate(few_shot.accuracy)


def _test_pairs(minimum: float, name: str = "test pairs") -> Expectation:
    return Expectation(name, minimum, _evaluator_accuracy)


DATA_SETS = (
    DataSet("mnist", "mnist_digits", "digits", (_test_pairs(0.98),)),
    DataSet("mnist_mild", "mnist_digits", "digits-mild", (_test_pairs(0.99),), arguments=("0.9",)),
    DataSet(
        "shapes",
        "shapes",
        "shapes",
        (
            _test_pairs(1.0),
            Expectation("pairs of an unseen shape", 1.0, _rectangle_pair_accuracy),
        ),
    ),
    DataSet("letters", "letters", "letters", (_test_pairs(0.95),)),
    DataSet("letter_pairs", "letters", "letters", (_test_pairs(0.95),)),
    DataSet(
        "optdigits",
        "optdigits",
        "optdigits",
        (
            _test_pairs(0.7, "test pairs, unseen classes"),
            Expectation("one-shot, 3 unseen classes", 0.7, _digit_one_shot_accuracy),
        ),
    ),
    DataSet(
        "characters",
        "characters",
        "characters",
        (
            _test_pairs(0.93, "test pairs, unseen classes"),
            Expectation("one-shot, 20 of 25 unseen classes", 0.85, _twenty_way_accuracy),
        ),
    ),
)
