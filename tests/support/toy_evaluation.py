"""Figures of an evaluation that are written down, not computed."""

from diptych.schemas.evaluation import (
    AtThreshold,
    ClassFigures,
    Confusion,
    Estimate,
    Evaluation,
    FewShot,
    Retrieval,
    Rule,
    Slice,
    TrueAcceptRate,
    Verification,
)


def estimate(value):
    """One percent point to both sides."""
    return Estimate(value=value, low=round(value - 0.01, 4), high=round(value + 0.01, 4))


def at_threshold(threshold, accuracy):
    return AtThreshold(
        threshold=threshold,
        accuracy=estimate(accuracy),
        precision=estimate(0.8),
        recall=estimate(0.7),
        f1=estimate(0.75),
        confusion=Confusion(
            same_called_same=4,
            same_called_different=1,
            different_called_same=2,
            different_called_different=3,
        ),
    )


def toy_evaluation(accuracy=0.9, threshold=0.7, classes=None, **changes):
    """Of ten pairs; ``classes`` are accuracies by label."""
    verification = Verification(
        pairs=10,
        same_pairs=5,
        examples=8,
        roc_auc=estimate(0.95),
        equal_error_rate=estimate(0.12),
        tar_at_far=(TrueAcceptRate(false_accept_rate=0.01, threshold=0.3, rate=estimate(0.6)),),
        fixed=at_threshold(0.5, 0.85),
        calibrated=at_threshold(threshold, accuracy),
    )
    figures = [
        ClassFigures(
            label=label,
            seen=True,
            examples=4,
            pairs=5,
            accuracy=known,
            accuracy_same=None,
            accuracy_different=None,
            recall_at_1=None,
        )
        for label, known in sorted((classes or {}).items())
    ]
    blessed = accuracy >= 0.8
    rule = Rule(
        name="accuracy",
        figure=accuracy,
        bar=0.8,
        better="higher",
        holds=blessed,
        text=f"accuracy {accuracy:.2%} {'reaches' if blessed else 'is below'} the bar of 80.00%",
    )
    values = {
        "blessed": blessed,
        "rules": (rule,),
        "collapse": None,
        "slices": (Slice(name="all", verification=verification),),
        "classes": tuple(figures),
        "resamples": 100,
    }
    return Evaluation(**{**values, **changes})


def retrieval(recall_at_1):
    figures = {"recall_at_5": estimate(0.9), "map_at_r": estimate(0.5)}
    return Retrieval(
        queries=1234, gallery=1300, classes=9, recall_at_1=estimate(recall_at_1), **figures
    )


def few_shot(ways, shots, accuracy):
    return FewShot(ways=ways, shots=shots, episodes=1000, classes=30, accuracy=estimate(accuracy))
