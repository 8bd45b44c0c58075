"""A complete run on images, evaluated on classes that were not in training."""

import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pipeline_runs import QUICK, pushed_version, run_in_subprocess, write_config

from diptych.schemas.evaluation import EvaluationReport

ALPHABETS, NUM_CHARACTERS, EXAMPLES_PER_CLASS = ("Aurebesh", "Tengwar"), 16, 12


def write_characters(folder):
    """Write characters of 4 x 4 fields; in each example, a tenth of the fields is inverted."""
    generator = np.random.default_rng(3)
    for alphabet in ALPHABETS:
        for character in range(NUM_CHARACTERS):
            path = folder / alphabet / f"{character:02d}"
            path.mkdir(parents=True)
            pattern = generator.integers(0, 2, (4, 4))
            for number in range(EXAMPLES_PER_CLASS):
                fields = np.where(generator.uniform(size=(4, 4)) < 0.1, 1 - pattern, pattern)
                pixels = 50 + 150 * np.kron(fields, np.ones((4, 4)))
                pixels += generator.normal(0, 30, (16, 16))
                image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
                image.save(path / f"{number}.png")


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("characters")
    write_characters(folder / "data")
    config = write_config(
        folder,
        {
            "kind": "images",
            "path": "data",
            "levels": ["label", "label"],
            "size": [16, 16],
            "channels": 1,
        },
        split={"by": "class", "train": 0.5, "calibration": 0.2, "test": 0.3},
        pairs={**QUICK["pairs"], "classes_per_batch": 6},
        evaluate={
            # The plain distance of pixels recognises the patterns; the test is about the metrics.
            "requirements": {"accuracy": 0.6, "recall_at_1": 0.5, "beats_baseline": False},
            "bootstrap": 100,
            "few_shot": {"ways": [3, 20], "shots": [1, 5], "episodes": 100},
        },
    )
    pushed_version(run_in_subprocess(config, folder / "root"), folder / "root")
    return folder / "root"


@pytest.fixture(scope="module")
def evaluated(root):
    (folder,) = root.glob("artifacts/Evaluator/evaluation/*")
    return folder


def test_unseen_classes_are_recognized_from_one_example_each(evaluated):
    report = EvaluationReport.read(evaluated)
    assert report.slice("seen") is None
    unseen = report.slice("unseen")
    assert unseen == report.all.model_copy(update={"name": "unseen"})
    assert not any(one.seen for one in report.classes)
    assert (
        unseen.retrieval.queries
        == unseen.retrieval.gallery
        == EXAMPLES_PER_CLASS * len(report.classes)
    )
    chance = 1 / len(report.classes)
    assert chance < unseen.retrieval.map_at_r.value < unseen.retrieval.recall_at_1.value
    assert unseen.retrieval.recall_at_1.low > 2 * chance

    one_shot, five_shot = unseen.few_shot
    assert [(one.ways, one.shots) for one in unseen.few_shot] == [(3, 1), (3, 5)]
    assert 1 / 3 < one_shot.accuracy.low < one_shot.accuracy.value < one_shot.accuracy.high
    assert one_shot.accuracy.value <= five_shot.accuracy.value + 0.05
    assert sum("20-way" in note for note in report.notes) == 2


def test_retrieval_uses_the_distance_of_the_pushed_model(root, evaluated):
    from diptych.components.common.exported_model import ExportedModel

    (version,) = (root / "serving").iterdir()
    examples = pq.read_table(evaluated / "embeddings.parquet").to_pandas()
    embeddings, labels = np.stack(examples["embedding"]), examples["label"].to_numpy()
    left, right = np.indices((len(labels), len(labels))).reshape(2, -1)
    distance = ExportedModel(version).distance(embeddings[left], embeddings[right])
    distance = distance.reshape(len(labels), -1)
    np.fill_diagonal(distance, np.inf)
    nearest = np.mean(labels[distance.argmin(axis=1)] == labels)
    assert EvaluationReport.read(evaluated).all.retrieval.recall_at_1.value == pytest.approx(
        nearest
    )


def test_groups_of_classes_are_slices(evaluated):
    report = EvaluationReport.read(evaluated)
    assert [one.name for one in report.slices] == ["all", "unseen", *(f"{a}/" for a in ALPHABETS)]
    groups = [report.slice(f"{alphabet}/") for alphabet in ALPHABETS]
    assert sum(group.verification.examples for group in groups) == report.pairs.examples
    assert sum(group.verification.pairs for group in groups) < report.pairs.pairs


def test_the_tables_contain_the_examples(evaluated):
    report = EvaluationReport.read(evaluated)
    examples = pq.read_table(evaluated / "embeddings.parquet").to_pylist()
    assert len(examples) == report.pairs.examples
    assert {one["label"] for one in examples} == {one.label for one in report.classes}
    worst = pq.read_table(evaluated / "worst_pairs.parquet").to_pylist()
    wrong = report.pairs.calibrated.confusion
    assert 0 < len(worst) <= wrong.false_negatives + wrong.false_positives
    thumbnails = {one["id"]: one["thumbnail"] for one in examples}
    for pair in worst:
        threshold = report.pairs.calibrated.threshold
        assert (pair["distance"] > threshold) == (pair["same"] == 1)
        assert pair["left_thumbnail"] == thumbnails[pair["left"]]
        with Image.open(io.BytesIO(pair["right_thumbnail"])) as image:
            assert image.size == (16, 16)
