"""Evaluation reports with made-up metrics."""

from diptych.schemas.evaluation import (
    AtThreshold,
    Check,
    ClassMetrics,
    Confusion,
    Estimate,
    EvaluationReport,
    FewShot,
    FoldAccuracy,
    GivenPairMetrics,
    PairedComparison,
    RawDistanceMetrics,
    Retrieval,
    Slice,
    TrueAcceptRate,
    Verification,
)


def estimate(value):
    """An estimate whose interval extends one percentage point to each side."""
    return Estimate(value=value, low=round(value - 0.01, 4), high=round(value + 0.01, 4))


def at_threshold(threshold, accuracy):
    return AtThreshold(
        threshold=threshold,
        accuracy=estimate(accuracy),
        precision=estimate(0.8),
        recall=estimate(0.7),
        f1=estimate(0.75),
        confusion=Confusion(
            true_positives=4,
            false_negatives=1,
            false_positives=2,
            true_negatives=3,
        ),
    )


def toy_evaluation(accuracy=0.9, threshold=0.7, classes=None, **changes):
    """A report on ten pairs; ``classes`` maps labels to accuracies."""
    verification = Verification(
        pairs=10,
        positive_pairs=5,
        examples=8,
        roc_auc=estimate(0.95),
        equal_error_rate=estimate(0.12),
        tar_at_far=(TrueAcceptRate(false_accept_rate=0.01, threshold=0.3, rate=estimate(0.6)),),
        fixed=at_threshold(0.5, 0.85),
        calibrated=at_threshold(threshold, accuracy),
    )
    class_metrics = [
        ClassMetrics(
            label=label,
            seen=True,
            examples=4,
            pairs=5,
            accuracy=class_accuracy,
            accuracy_positive=None,
            accuracy_negative=None,
            recall_at_1=None,
        )
        for label, class_accuracy in sorted((classes or {}).items())
    ]
    blessed = accuracy >= 0.8
    verb = "meets" if blessed else "does not meet"
    check = Check(
        name="accuracy",
        value=accuracy,
        requirement=0.8,
        better="higher",
        passed=blessed,
        text=f"accuracy {accuracy:.2%} {verb} the requirement of at least 80.00%",
    )
    values = {
        "blessed": blessed,
        "checks": (check,),
        "collapse": None,
        "raw_distance": raw_distance(0.6),
        "slices": (Slice(name="all", verification=verification),),
        "classes": tuple(class_metrics),
        "resamples": 100,
    }
    return EvaluationReport(**{**values, **changes})


def raw_distance(accuracy, recall_at_1=None):
    """A no-learning baseline that is 30 percentage points less accurate than the model."""
    return RawDistanceMetrics(
        accuracy=estimate(accuracy),
        roc_auc=estimate(0.65),
        equal_error_rate=estimate(0.4),
        recall_at_1=recall_at_1,
        comparison=PairedComparison(
            threshold=7.5,
            accuracy=accuracy,
            difference=estimate(0.3),
            only_candidate_correct=4,
            only_reference_correct=1,
            mcnemar_p=0.375,
        ),
    )


def given_pairs(**changes):
    """Metrics of a list of 9 pairs in two folds."""
    values = {
        "file": "lists/pairs.txt",
        "pairs": 9,
        "leaked_pairs": 0,
        "leaked_examples": 0,
        "verification": toy_evaluation().pairs,
        "folds": FoldAccuracy(
            mean=0.75, standard_error=0.02, accuracies=(0.73, 0.77), thresholds=(0.5, 0.6)
        ),
    }
    return GivenPairMetrics(**{**values, **changes})


def retrieval(recall_at_1):
    others = {"recall_at_5": estimate(0.9), "map_at_r": estimate(0.5)}
    return Retrieval(
        queries=1234, gallery=1300, classes=9, recall_at_1=estimate(recall_at_1), **others
    )


def few_shot(ways, shots, accuracy):
    return FewShot(ways=ways, shots=shots, episodes=1000, classes=30, accuracy=estimate(accuracy))
