"""Metrics of all slices and classes of the test split."""

import dataclasses

import numpy as np

from diptych.components.evaluator.class_metrics import compute_class_metrics
from diptych.components.evaluator.few_shot import evaluate_few_shot
from diptych.components.evaluator.model_predictions import ModelPredictions
from diptych.components.evaluator.pairwise_distances import F32, EmbeddingDistance
from diptych.components.evaluator.retrieval import I64, RetrievalResults, evaluate_retrieval
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.components.evaluator.slices import make_slices
from diptych.components.evaluator.verification import compute_verification_metrics
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.evaluation import ClassMetrics, Slice, Verification
from diptych.schemas.shards import SplitPairs

_RETRIEVAL_SLICES = ("all", "seen", "unseen")  # these also have few-shot metrics


@dataclasses.dataclass(frozen=True)
class SliceMetrics:
    """Metrics of slices and classes.

    Attributes:
      slices: Metrics of each slice; the first is ``all``.
      classes: Metrics of each class, sorted by label; empty without labels.
      notes: Metrics that could not be computed, and why.
    """

    slices: tuple[Slice, ...]
    classes: tuple[ClassMetrics, ...] = ()
    notes: tuple[str, ...] = ()


def compute_slice_metrics(
    predictions: ModelPredictions,
    split: SplitPairs,
    train_sizes: I64,
    distance: EmbeddingDistance,
    config: EvaluateConfig,
) -> SliceMetrics:
    """Compute the metrics of each slice and class of labelled examples.

    Args:
      predictions: Predictions of the model on the test split.
      split: Test examples.
      train_sizes: Training examples per class index, see ``count_examples_per_class``.
      distance: Distance of the model that made the predictions.
      config: Few-shot settings, fixed threshold, number of resamples and seed.
    """
    pairs, threshold = predictions.pairs, predictions.threshold
    masks, notes = make_slices(split, train_sizes)
    _, class_index = np.unique(split.labels, return_inverse=True)
    slices: dict[str, Slice] = {}
    results: dict[str, RetrievalResults | None] = {}
    for name, mask in masks.items():
        if name != "all" and mask.all():  # all classes are seen, or all are unseen
            slices[name] = slices["all"].model_copy(update={"name": name})
            continue
        metrics = Slice(name=name, verification=_verify(pairs.subset(mask), threshold, config))
        if name in _RETRIEVAL_SLICES:
            results[name], class_based, missing = _evaluate_neighbours(
                predictions.embeddings[mask], class_index[mask], distance, config
            )
            metrics = metrics.model_copy(update=class_based)
            notes += tuple(f"Slice {name}: {note}." for note in missing)
        slices[name] = metrics
    seen = split.classes >= 0
    classes = compute_class_metrics(pairs, threshold, split.labels, seen, results["all"])
    return SliceMetrics(tuple(slices.values()), classes, notes)


def compute_pair_metrics(predictions: ModelPredictions, config: EvaluateConfig) -> SliceMetrics:
    """Compute the metrics of given pairs, which have no class labels."""
    verification = compute_verification_metrics(predictions.pairs, predictions.threshold, config)
    return SliceMetrics(slices=(Slice(name="all", verification=verification),))


def _verify(pairs: ScoredPairs, threshold: float, config: EvaluateConfig) -> Verification | None:
    if not pairs.num_positive or not pairs.num_negative:
        return None
    return compute_verification_metrics(pairs, threshold, config)


def _evaluate_neighbours(
    embeddings: F32, classes: I64, distance: EmbeddingDistance, config: EvaluateConfig
) -> tuple[RetrievalResults | None, dict[str, object], tuple[str, ...]]:
    """Compute retrieval and few-shot metrics.

    Returns:
      Retrieval results per query, fields of ``Slice`` to update, and notes on missing metrics.
    """
    results = evaluate_retrieval(
        embeddings, classes, distance.distance_name, distance.distance_weights
    )
    few_shot, notes = evaluate_few_shot(
        *(embeddings, classes, distance.distance, config.few_shot),
        *(config.bootstrap, config.seed),
    )
    if results is None:
        notes = ("retrieval requires two classes, one of them with two examples", *notes)
    retrieval = None if results is None else results.summarize(config.bootstrap, config.seed)
    return results, {"retrieval": retrieval, "few_shot": few_shot}, notes
