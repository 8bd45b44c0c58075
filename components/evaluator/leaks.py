"""Test pairs with examples that are known from training."""

import numpy as np
import numpy.typing as npt

from diptych.schemas.evaluation import Check
from diptych.schemas.shards import SplitPairs


def measure_leaked_pairs(test: SplitPairs, leaked_ids: npt.NDArray[np.uint8]) -> float:
    """Measure the fraction of the test pairs with at least one leaked example.

    Args:
      test: Test pairs.
      leaked_ids: (n, 16) ids of the examples that occur in the training split, themselves or as a
        duplicate.
    """

    def as_keys(ids: npt.NDArray[np.uint8]) -> np.ndarray:
        # Rows are compared as bytes.
        return np.ascontiguousarray(ids).view(f"S{test.ids.shape[1]}").ravel()

    is_leaked = np.isin(as_keys(test.ids), as_keys(leaked_ids.reshape(-1, test.ids.shape[1])))
    return float(np.mean(is_leaked[test.left] | is_leaked[test.right]))


def check_leaked_pairs(
    fraction: float, max_leaked: float, *, given_pairs: bool, split_by: str
) -> Check:
    """Check that few test pairs have a leaked example.

    Args:
      fraction: Fraction of the test pairs with a leaked example.
      max_leaked: Largest accepted fraction.
      given_pairs: The data are given pairs, which share examples instead of duplicates.
      split_by: The setting ``split.by``: duplicates only move in a split by example.
    """
    passed = fraction <= max_leaked
    text = describe_leaked_pairs(fraction)
    limit = f"the limit of {max_leaked:.2%}"
    if passed:
        text += f", within {limit}"
    else:
        if given_pairs:
            remedy = "Set split.by: connected, or split.by: group with data.group"
        elif split_by == "example":
            remedy = "Set split.duplicates: together"
        else:
            remedy = (
                "Remove the duplicates from the data, of which the report lists the largest: "
                f"with split.by: {split_by} they do not move"
            )
        text += (
            f", above {limit}: the metrics do not show how the model performs on new data. "
            f"{remedy}; evaluate.requirements.max_leaked is the limit"
        )
    return Check(
        name="max_leaked",
        value=fraction,
        requirement=max_leaked,
        better="lower",
        passed=passed,
        text=text,
    )


def describe_leaked_pairs(fraction: float) -> str:
    """Describe the fraction of leaked test pairs."""
    return (
        f"{fraction:.2%} of the test pairs have an example known from training, itself or as a "
        "duplicate"
    )
