"""Judges a pushed model, through its own signatures, on raw images of what it has never seen."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from quality.figures import Figure, as_figure, mean_with_interval, one_shot_accuracy

from diptych.schemas.config.evaluate import Evaluate
from diptych.schemas.evaluation import Evaluation

_AT_ONCE = 8192


def pair_accuracy(root: Path, folder: Path) -> Figure:
    """The share of all pairs of a folder's images that ``compare`` tells right, by ``same``."""
    from diptych.components.evaluator.scored_pairs import Judged
    from diptych.components.evaluator.verification import verify

    files, labels = _images(folder)
    left, right = np.triu_indices(len(files), k=1)
    distance, threshold = _compare(root, files, left, right)
    judged = Judged(len(files), left, right, (labels[left] == labels[right]) * 1, distance)
    return as_figure(verify(judged, threshold, Evaluate()).calibrated.accuracy)


def one_shot(root: Path, folder: Path) -> Figure:
    """One-shot accuracy among the classes of the test split, all their images taken."""
    tested = [one.label for one in evaluation_of(root).classes]
    files, labels = _images(folder, tested)
    left, right = np.triu_indices(len(files), k=1)
    distance = np.zeros((len(files), len(files)), np.float32)
    distance[left, right], _ = _compare(root, files, left, right)
    return mean_with_interval(one_shot_accuracy(distance + distance.T, labels))


def evaluation_of(root: Path) -> Evaluation:
    """What the Evaluator found in the one run of a root."""
    (file,) = root.glob("artifacts/Evaluator/evaluation/*/evaluation.json")
    return Evaluation.read(file.parent)


def _images(
    folder: Path, classes: list[str] | None = None
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.str_]]:
    """Encoded images and their labels, of a folder per class."""
    paths = [
        path
        for path in sorted(folder.glob("*/*.png"))
        if classes is None or path.parent.name in classes
    ]
    return (
        np.array([path.read_bytes() for path in paths], object),
        np.array([path.parent.name for path in paths]),
    )


def _compare(
    root: Path,
    files: npt.NDArray[np.object_],
    left: npt.NDArray[np.int64],
    right: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.float32], float]:
    """(m,) distances by the newest pushed model, and its threshold."""
    import tensorflow as tf

    versions = [path for path in (root / "serving").glob("*") if path.name.isdigit()]
    if not versions:
        raise FileNotFoundError("no model was pushed: the Evaluator did not bless it")
    model = tf.saved_model.load(str(max(versions, key=lambda path: int(path.name))))
    compare, distances, threshold = model.signatures["compare"], [], 0.0
    for start in range(0, len(left), _AT_ONCE):
        some = slice(start, start + _AT_ONCE)
        out = compare(left=tf.constant(files[left[some]]), right=tf.constant(files[right[some]]))
        distances.append(out["distance"].numpy())
        threshold = float(out["threshold"][0])
    return np.concatenate(distances), threshold
