"""Metrics of a pushed model, computed with its signatures on raw images of unseen classes."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from quality.metrics import Metric, mean_with_interval, metric_from_estimate, one_shot_accuracy

from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.evaluation import EvaluationReport

_PAIRS_PER_BATCH = 8192


def pair_accuracy(root: Path, folder: Path) -> Metric:
    """Compute the accuracy of ``compare`` on all pairs of the images in a folder."""
    from diptych.components.evaluator.scored_pairs import ScoredPairs
    from diptych.components.evaluator.verification import compute_verification_metrics

    images, labels = _read_images(folder)
    left, right = np.triu_indices(len(images), k=1)
    distance, threshold = _compare_images(root, images, left, right)
    same = (labels[left] == labels[right]).astype(np.int8)
    pairs = ScoredPairs(len(images), left, right, same, distance)
    verification = compute_verification_metrics(pairs, threshold, EvaluateConfig())
    return metric_from_estimate(verification.calibrated.accuracy)


def one_shot_test_accuracy(root: Path, folder: Path) -> Metric:
    """Compute the one-shot accuracy on all images of the classes of the test split."""
    test_classes = [metrics.label for metrics in read_report(root).classes]
    images, labels = _read_images(folder, test_classes)
    left, right = np.triu_indices(len(images), k=1)
    distance = np.zeros((len(images), len(images)), np.float32)
    distance[left, right], _ = _compare_images(root, images, left, right)
    return mean_with_interval(one_shot_accuracy(distance + distance.T, labels))


def read_report(root: Path) -> EvaluationReport:
    """Read the evaluation report of the only run in a pipeline root."""
    (path,) = root.glob("artifacts/Evaluator/evaluation/*/evaluation.json")
    return EvaluationReport.read(path.parent)


def _read_images(
    folder: Path, classes: list[str] | None = None
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.str_]]:
    """Read encoded images and their labels from a folder with one subfolder per class."""
    paths = [
        path
        for path in sorted(folder.glob("*/*.png"))
        if classes is None or path.parent.name in classes
    ]
    return (
        np.array([path.read_bytes() for path in paths], object),
        np.array([path.parent.name for path in paths]),
    )


def _compare_images(
    root: Path,
    images: npt.NDArray[np.object_],
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float32], float]:
    """Return (m,) distances by the newest pushed model, and its threshold."""
    import tensorflow as tf

    versions = [path for path in (root / "serving").glob("*") if path.name.isdigit()]
    if not versions:
        raise FileNotFoundError("No model was pushed because the Evaluator did not bless it.")
    model = tf.saved_model.load(str(max(versions, key=lambda path: int(path.name))))
    compare, distances, threshold = model.signatures["compare"], [], 0.0
    for start in range(0, len(left), _PAIRS_PER_BATCH):
        batch = slice(start, start + _PAIRS_PER_BATCH)
        outputs = compare(
            left=tf.constant(images[left[batch]]), right=tf.constant(images[right[batch]])
        )
        distances.append(outputs["distance"].numpy())
        threshold = float(outputs["threshold"][0])
    return np.concatenate(distances), threshold
