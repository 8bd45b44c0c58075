"""Blessed or not, and why."""

import dataclasses

from diptych.schemas.evaluate import Evaluate


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The decision, and every rule in words with its figure and its bar."""

    blessed: bool
    rules: tuple[str, ...]

    @property
    def reason(self) -> str:
        """All rules in one line."""
        return "; ".join(self.rules)


def judge(accuracy: float, baseline: float | None, settings: Evaluate) -> Verdict:
    """Blesses a model that clears the bar and does not fall behind the one before it.

    Args:
      accuracy: of the candidate on the test pairs, at its own calibrated threshold.
      baseline: of the model blessed before, on the same pairs at its own threshold; None if there
        is none.
      settings: the bars.
    """
    clears = accuracy >= (settings.bars.accuracy or 0.0)
    rules = [
        f"accuracy {accuracy:.2%} {'reaches' if clears else 'is below'} "
        f"the bar of {(settings.bars.accuracy or 0.0):.2%}"
    ]
    keeps_up = True
    if baseline is None:
        rules.append("no model was blessed before")
    else:
        keeps_up = accuracy >= baseline - settings.max_drop
        rules.append(
            f"it {'keeps up with' if keeps_up else 'falls behind'} the model blessed before: "
            f"{baseline:.2%} on the same pairs, {settings.max_drop:.2%} less allowed"
        )
    return Verdict(clears and keeps_up, tuple(rules))
