"""Figures of verification: are these two the same? A distance goes down when things are alike."""

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from diptych.components.evaluator.bootstrap import draw_times, estimate, pair_weights
from diptych.components.evaluator.curves import (
    Accepted,
    Ranked,
    equal_error_rate,
    true_accept_cut,
)
from diptych.components.evaluator.scored_pairs import Judged
from diptych.schemas.config.evaluate import Evaluate
from diptych.schemas.evaluation import (
    AtThreshold,
    Confusion,
    Estimate,
    TrueAcceptRate,
    Verification,
)

_Resampled = dict[str, np.ndarray]  # figure -> (resamples,)


def verify(judged: Judged, threshold: float, settings: Evaluate) -> Verification:
    """All figures, with 95 % intervals by bootstrap over examples.

    Args:
      judged: pairs, some same and some different.
      threshold: the calibrated one, in the unit of the distance.
      settings: the fixed threshold, false accept rates, resamples and seed.
    """
    resampled = _resample(judged, threshold, settings)
    false_accepts, true_accepts, scores = roc_curve(
        judged.is_same, _score(judged), drop_intermediate=False
    )
    # Nothing is accepted at the first threshold, infinity to scikit-learn.
    scores[0] = np.nextafter(scores[1], np.inf)
    equal_errors = equal_error_rate(false_accepts[None], true_accepts[None])[0]

    def tar_at(far: float) -> TrueAcceptRate:
        (cut,) = true_accept_cut(false_accepts[None], far)
        rate = float(true_accepts[cut]) if can_tell(judged, far) else None
        return TrueAcceptRate(
            false_accept_rate=far,
            threshold=-float(scores[cut]),
            rate=estimate(rate, resampled[_tar(far)]),
        )

    return Verification(
        pairs=len(judged.same),
        same_pairs=int(judged.is_same.sum()),
        examples=judged.num_examples,
        roc_auc=estimate(
            float(roc_auc_score(judged.is_same, _score(judged))), resampled["roc_auc"]
        ),
        equal_error_rate=estimate(float(equal_errors), resampled["equal_error_rate"]),
        tar_at_far=tuple(tar_at(far) for far in settings.false_accept_rates),
        fixed=_at(judged, "fixed", settings.threshold, resampled),
        calibrated=_at(judged, "calibrated", threshold, resampled),
    )


def can_tell(judged: Judged, false_accept_rate: float) -> bool:
    """Whether there are different pairs enough for a rate: one of them alone must not be above it.

    Of 500 different pairs, a rate of 1/1000 would be the rate 0.
    """
    different = len(judged.same) - int(judged.is_same.sum())
    return different > 0 and 1 / different <= false_accept_rate


def _score(judged: Judged) -> np.ndarray:
    """What scikit-learn wants: higher for the more alike."""
    score: np.ndarray = -judged.distance
    return score


def _at(judged: Judged, name: str, threshold: float, resampled: _Resampled) -> AtThreshold:
    called_same = judged.distance <= threshold

    def figure(what: str, value: float) -> Estimate:
        return estimate(None if np.isnan(value) else float(value), resampled[f"{name} {what}"])

    same, called = judged.is_same, called_same
    (right_different, wrong_same), (wrong_different, right_same) = confusion_matrix(
        same, called, labels=[False, True]
    ).tolist()
    return AtThreshold(
        threshold=threshold,
        accuracy=figure("accuracy", accuracy_score(same, called)),
        precision=figure("precision", precision_score(same, called, zero_division=np.nan)),
        recall=figure("recall", recall_score(same, called)),
        f1=figure("f1", f1_score(same, called)),
        confusion=Confusion(
            same_called_same=right_same,
            same_called_different=wrong_different,
            different_called_same=wrong_same,
            different_called_different=right_different,
        ),
    )


def _resample(judged: Judged, threshold: float, settings: Evaluate) -> _Resampled:
    ranked = Ranked(judged)
    cuts = {"fixed": ranked.cut(settings.threshold), "calibrated": ranked.cut(threshold)}
    parts = [
        _figures(
            ranked.accepted(pair_weights(times, ranked.left, ranked.right)),
            cuts,
            settings.false_accept_rates,
        )
        for times in draw_times(
            judged.num_examples, settings.bootstrap, settings.seed, width=len(judged.same)
        )
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _figures(accepted: Accepted, cuts: dict[str, int], rates: tuple[float, ...]) -> _Resampled:
    false_accepts, true_accepts = accepted.rates()
    figures = {
        "roc_auc": accepted.roc_auc(),
        "equal_error_rate": equal_error_rate(false_accepts, true_accepts),
    }
    for far in rates:
        last = true_accept_cut(false_accepts, far)
        figures[_tar(far)] = true_accepts[np.arange(len(last)), last]
    for name, cut in cuts.items():
        figures[f"{name} accuracy"] = accepted.accuracy(cut)
        figures[f"{name} precision"] = accepted.precision(cut)
        figures[f"{name} recall"] = accepted.recall(cut)
        figures[f"{name} f1"] = accepted.f1(cut)
    return figures


def _tar(false_accept_rate: float) -> str:
    return f"tar at {false_accept_rate!r}"
