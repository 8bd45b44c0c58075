import numpy as np
import pytest

from diptych.components.evaluator.model_predictions import ModelPredictions
from diptych.components.evaluator.scored_pairs import ScoredPairs
from diptych.components.evaluator.slice_metrics import compute_slice_metrics
from diptych.components.trainer.distances import LearnedL1Distance, make_distance
from diptych.schemas.config.evaluate import EvaluateConfig, FewShotConfig
from diptych.schemas.shards import SplitPairs

DISTANCES = ("euclidean", "squared_euclidean", "manhattan", "cosine", "learned_l1")
CONFIG = EvaluateConfig(
    bootstrap=20,
    false_accept_rates=(0.1,),
    few_shot=FewShotConfig(ways=(2, 4), shots=(1, 5), episodes=40),
)
TRAIN_SIZES = np.array([9, 30, 20])
EXAMPLES_PER_CLASS, NUM_CLASSES = 6, 4  # by default, classes 0 and 1 are seen, 2 and 3 are not
CLUSTERS = np.arange(NUM_CLASSES * EXAMPLES_PER_CLASS) % NUM_CLASSES


class LayerDistance:
    """A distance layer with the interface of an exported model."""

    def __init__(self, distance_name, weight_sign=1.0):
        self.distance_name, self.distance_weights = distance_name, None
        self._layer = make_distance(distance_name)
        if isinstance(self._layer, LearnedL1Distance):
            shape = (None, NUM_CLASSES)
            self._layer.build(shape, shape)
            weights = np.full((NUM_CLASSES, 1), -8.0 * weight_sign)
            self._layer.set_weights([weights, np.array([4.0 * weight_sign])])
            self.distance_weights = np.array(self._layer.dimension_weights, np.float32)

    def distance(self, left, right):
        return np.asarray(self._layer(left, right))


def compute_metrics(distance, clusters, classes, labels=None, seen=(0, 1)):
    """Metrics of all pairs of examples, each embedded near its cluster."""
    count = len(clusters)
    noise = np.random.default_rng(0).normal(scale=0.05, size=(count, NUM_CLASSES))
    embeddings = (np.eye(NUM_CLASSES)[clusters] + noise).astype(np.float32)
    left, right = np.triu_indices(count, k=1)
    same = (classes[left] == classes[right]).astype(int)
    distances = distance.distance(embeddings[left], embeddings[right])
    pairs = ScoredPairs(count, left, right, same, distances)
    unused = np.empty(0, np.int64)
    labels = [b"%d" % class_index for class_index in classes] if labels is None else labels
    split = SplitPairs(
        ids=np.zeros((count, 16), np.uint8),
        shard=unused,
        row=unused,
        left=left,
        right=right,
        same=same,
        labels=np.array(labels, object),
        classes=np.where(np.isin(classes, seen), classes, -1),
        placed=[],
    )
    predictions = ModelPredictions(embeddings, pairs, float(np.median(distances)))
    return compute_slice_metrics(predictions, split, TRAIN_SIZES, distance, CONFIG)


def neighbour_metrics(test_slice):
    """Retrieval metrics, followed by few-shot accuracies."""
    return [
        test_slice.retrieval.recall_at_1.value,
        test_slice.retrieval.recall_at_5.value,
        test_slice.retrieval.map_at_r.value,
        *(few_shot.accuracy.value for few_shot in test_slice.few_shot),
    ]


@pytest.mark.parametrize("distance_name", DISTANCES)
def test_clusters_that_match_the_classes_have_perfect_metrics_in_all_slices(distance_name):
    metrics = compute_metrics(LayerDistance(distance_name), CLUSTERS, classes=CLUSTERS)
    names = [each.name for each in metrics.slices]
    assert names == ["all", "seen", "unseen", "rare", "common"]
    all_examples, seen, unseen = metrics.slices[:3]
    assert neighbour_metrics(all_examples) == pytest.approx([1] * 7)  # 2 and 4 ways, 1 and 5 shots
    assert neighbour_metrics(seen) == neighbour_metrics(unseen) == pytest.approx([1] * 5)
    roc_aucs = [each.verification.roc_auc.value for each in metrics.slices[:3]]
    assert roc_aucs == pytest.approx([1] * 3)
    assert [each.recall_at_1 for each in metrics.classes] == [1, 1, 1, 1]
    assert [each.seen for each in metrics.classes] == [True, True, False, False]


@pytest.mark.parametrize("distance_name", DISTANCES)
def test_clusters_that_do_not_match_the_classes_have_poor_metrics(distance_name):
    # Each cluster contains examples of all classes.
    classes = np.arange(NUM_CLASSES * EXAMPLES_PER_CLASS) // EXAMPLES_PER_CLASS
    metrics = compute_metrics(LayerDistance(distance_name), CLUSTERS, classes)
    values = neighbour_metrics(metrics.slices[0])
    assert values[0] <= 0.5
    assert values[2] < 0.25
    assert all(accuracy < 0.6 for accuracy in values[3:])


def test_a_reversed_learned_distance_retrieves_nothing():
    metrics = compute_metrics(LayerDistance("learned_l1", weight_sign=-1.0), CLUSTERS, CLUSTERS)
    assert neighbour_metrics(metrics.slices[0]) == [0] * 7
    assert metrics.slices[0].verification.roc_auc.value == 0


def test_seen_and_unseen_examples_are_searched_separately_and_missing_metrics_are_noted():
    labels = [(b"x/%d" if cluster < 3 else b"y/%d") % cluster for cluster in CLUSTERS]
    metrics = compute_metrics(
        LayerDistance("euclidean"), CLUSTERS, CLUSTERS, labels, seen=(0, 1, 2)
    )
    slices = {each.name: each for each in metrics.slices}
    assert list(slices) == ["all", "seen", "unseen", "rare", "common", "x/", "y/"]
    assert (slices["all"].retrieval.gallery, slices["seen"].retrieval.gallery) == (24, 18)
    assert slices["unseen"].retrieval is None
    assert slices["unseen"].verification is None  # one class, so all pairs are positive
    assert slices["x/"].retrieval is None
    assert slices["x/"].verification.examples == 18
    for start in (
        "Slice unseen: retrieval requires two classes",
        "Slice seen: 4-way 1-shot requires 4 classes",
    ):
        assert any(note.startswith(start) for note in metrics.notes)


def test_if_all_classes_are_seen_the_slice_repeats_the_metrics_of_all_examples():
    clusters = np.arange(NUM_CLASSES * EXAMPLES_PER_CLASS) % 2
    metrics = compute_metrics(LayerDistance("cosine"), clusters, clusters)
    all_examples, seen = metrics.slices[:2]
    assert seen == all_examples.model_copy(update={"name": "seen"})
    assert not any("Slice seen" in note for note in metrics.notes)
