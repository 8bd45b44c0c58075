"""Run records with synthetic artifacts, written without running the pipeline."""

import datetime
import io
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from toy_evaluation import raw_distance

from diptych.pipeline.runs.records import ArtifactRecord, RunRecord, StepRecord
from diptych.schemas.balance import ClassBalance, SplitBalance, Spread
from diptych.schemas.data_report import (
    Conflict,
    DataReport,
    DuplicateCounts,
    DuplicateGroup,
    GivenPairs,
    NamedExample,
)
from diptych.schemas.evaluation import (
    SCORED_PAIRS_SCHEMA,
    SHOWN_LABEL_ERRORS_SCHEMA,
    WORST_PAIRS_SCHEMA,
    AtThreshold,
    Check,
    ClassMetrics,
    Confusion,
    Estimate,
    EvaluationReport,
    FewShot,
    LabelErrorSummary,
    PairedComparison,
    Retrieval,
    Slice,
    TrueAcceptRate,
    Verification,
    embeddings_schema,
)
from diptych.schemas.learning_curves import EpochMetrics, LearningCurves
from diptych.schemas.rejected_rows import (
    SUMMARY_FILE,
    IngestCounts,
    IngestSummary,
    ReasonCount,
)
from diptych.schemas.shards import SPLITS, InputShape, SplitManifest, examples_schema, shard_name

HOSTILE = ("<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "$\\frac{", "a\tb\nc")
STARTED = datetime.datetime(2026, 3, 1, 4, 30, tzinfo=datetime.UTC)
SETTINGS = {
    ("ExampleGen", "data"): {"kind": "images", "path": "/data/<b>digits</b>"},
    ("ExampleGen", "split"): {"by": "example", "train": 0.6},
    ("PairGen", "settings"): {"ratio": "1:1", "sampling": "oversample"},
    ("Trainer", "model_settings"): {"embedding_size": 8, "loss": {"name": "contrastive"}},
    ("Trainer", "train_settings"): {"epochs": 4},
    ("Evaluator", "settings"): {"threshold": 0.5},
}
# Step, inputs, outputs. Artifacts are named by the output key of the step that writes them.
GRAPH = (
    ("ExampleGen", (), ("examples", "rejected", "data_report")),
    ("StatisticsGen", ("examples",), ("statistics",)),
    ("PairGen", ("examples",), ("pairs", "balance")),
    ("Trainer", ("pairs",), ("model", "training_log")),
    ("Evaluator", ("examples", "pairs", "model"), ("evaluation", "blessing")),
    ("Pusher", ("model", "blessing"), ("pushed_model",)),
)


def make_run(
    root: Path,
    *,
    classes: tuple[str, ...] = ("one", "two", "three", "four"),
    each: int = 30,
    pictures: bool = True,
    paired: bool = False,
    blessed: bool = True,
) -> RunRecord:
    """Write the artifacts of a run, and return its record. The last class is unseen.

    Args:
      root: Folder to write to.
      classes: Names of the classes.
      each: Test examples per class.
      pictures: The examples are images with thumbnails, else vectors.
      paired: The data are pairs without classes.
      blessed: The verdict.
    """
    generator = np.random.default_rng(0)
    folders = {key: root / key for _, _, outputs in GRAPH for key in outputs}
    for folder in folders.values():
        folder.mkdir(parents=True)
    _write_rejected(folders["rejected"], classes)
    _write_data_report(folders["data_report"], paired)
    _write_shards(folders["pairs"], folders["balance"], classes, pictures, paired)
    _write_curves(folders["training_log"])
    _write_evaluation(folders["evaluation"], generator, classes, each, pictures, paired, blessed)
    return _record(folders)


def truncate_run(run: RunRecord, last: str, state: str = "failed") -> RunRecord:
    """Return the record of the same run, ended after the step ``last``."""
    names = [step.name for step in run.steps]
    *previous, ended = run.steps[: names.index(last) + 1]
    values = {**ended.__dict__, "state": state}
    return RunRecord(run.name, run.pipeline, (*previous, StepRecord(**values)))


def _record(folders: dict[str, Path]) -> RunRecord:
    properties = {"num_read": 500, "num_rejected": 3}
    properties["pushed_destination"] = str(folders["pushed_model"] / "1")
    artifacts = {
        key: ArtifactRecord(number, f"diptych.{key}", path, properties)
        for number, (key, path) in enumerate(folders.items(), 1)
    }
    steps = tuple(
        StepRecord(
            id=number,
            name=name,
            state="cached" if name == "StatisticsGen" else "ran",
            started=STARTED,
            seconds=1.5,
            parameters={
                parameter: json.dumps(values)
                for (step, parameter), values in SETTINGS.items()
                if step == name
            },
            inputs={key: (artifacts[key],) for key in inputs},
            outputs={key: (artifacts[key],) for key in outputs},
        )
        for number, (name, inputs, outputs) in enumerate(GRAPH, 1)
    )
    return RunRecord("2026-03-01T04:30:00.000001", "digits <3", steps)


def _write_rejected(folder: Path, classes: tuple[str, ...]) -> None:
    counts = IngestCounts(
        num_read=500,
        num_rejected=3,
        num_examples=(300, 100, 97),
        reasons={
            "is no image": ReasonCount(count=2, source="c.png"),
            "is <i>too</i> large": ReasonCount(count=1, source=f"{classes[0]}.png"),
        },
        ignored={"not an image": ReasonCount(count=1, source="<b>.txt")},
        findings={"is a single colour": ReasonCount(count=4, source="blank.png")},
    )
    summary = IngestSummary(spans={"": counts}, skipped_spans={})
    (folder / SUMMARY_FILE).write_text(summary.model_dump_json())


def _write_data_report(folder: Path, paired: bool) -> None:
    same = NamedExample(source="<i>a</i>.png", label="one", split="train")
    others = (NamedExample(source="b.png", label="two"), NamedExample(source="c.png", label="one"))
    DataReport(
        num_examples=(300, 100, 100),
        num_moved=2,
        duplicates=(DuplicateCounts(kind="near", groups=1, examples=6, groups_across_splits=0),),
        groups=(DuplicateGroup(kind="near", num_examples=6, examples=(same, same)),),
        num_conflicts=2,
        conflicts=(Conflict(num_examples=2, examples=others),),
        num_leaked=7,
        pairs=GivenPairs(
            num_examples=60,
            num_shared=20,
            num_test_examples=40,
            num_components=3,
            largest_component=480,
        )
        if paired
        else None,
    ).write(folder, np.arange(32, dtype=np.uint8).reshape(2, 16))


def _write_shards(
    pairs: Path, balance: Path, classes: tuple[str, ...], pictures: bool, paired: bool
) -> None:
    """Write each split with 2 * (c + 1) examples of class c < 20, each in two rows."""
    schema = examples_schema(pa.list_(pa.float32(), 2))
    rows = [
        (0, (1000 * number + one).to_bytes(16, "big"), name.encode(), number)
        for number, name in enumerate(classes[:-1])
        for one in range(2 * (min(number, 20) + 1))
        for _ in range(2)
    ]
    columns = [list(column) for column in zip(*rows, strict=True)]
    count = len(rows)
    columns += [[1.0] * count, [2] * count, [[0.0, 0.0]] * count]
    table = pa.table(
        [pa.array(column, field.type) for column, field in zip(columns, schema, strict=True)],
        schema=schema,
    ).combine_chunks()
    for split in SPLITS:
        folder = pairs / f"Split-{split}"
        folder.mkdir()
        with pa.ipc.new_file(folder / shard_name("examples", 0, 1), schema) as file:
            file.write_table(table)
        SplitManifest(
            input=InputShape(kind="image", shape=(28, 20, 3))
            if pictures
            else InputShape(kind="vector", shape=(2,)),
            **{"num_shards": 1, "num_batches": 1},
            **{"num_examples": count // 2, "num_rows": count, "num_classes": len(classes) - 1},
            **{"num_singletons": 0, "num_positive": 40, "num_negative": 40, "num_triplets": 7},
            batches_per_shard=(1,),
        ).write(folder)
        spread = Spread(min=2, median=4, max=2 * (len(classes) - 1))
        class_balance = ClassBalance(
            **{"num_classes": len(classes) - 1, "num_singletons": 0, "num_uncovered": 0},
            **dict.fromkeys(("examples", "pairs", "weight"), spread),
        )
        SplitBalance(
            **{"split": split, "sampling": "oversample", "rounds": 2, "num_examples": count // 2},
            num_given_pairs=80 if paired else None,
            **{"num_positive": 40, "num_negative": 40, "negatives_per_positive": 1.0},
            num_distinct_positive=20,
            **{"repeats_mean": 1.0, "repeats_max": 2, "coverage": 1.0, "num_uncovered": 0},
            classes=None if paired else class_balance,
            notes=("batches hold all of them.",),
        ).write(balance)


def _write_curves(folder: Path) -> None:
    epochs = [
        EpochMetrics(
            epoch=n,
            loss=1 / n,
            accuracy=1 - 0.1 / n,
            calibration_loss=1.2 / n,
            calibration_accuracy=1 - 0.2 / n,
            examples_per_s=100.0,
            input_share=0.1,
            seconds=2.0,
        )
        for n in range(1, 5)
    ]
    LearningCurves.from_epochs(epochs).write(folder)
    (folder / "tensorboard").mkdir()


def _write_evaluation(folder, generator, classes, each, pictures, paired, blessed) -> None:
    numbers = np.repeat(np.arange(len(classes)), each)
    centers = generator.normal(size=(len(classes), 8))
    embeddings = centers[numbers] + 0.3 * generator.normal(size=(len(numbers), 8))
    embeddings = (embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)).astype("f4")
    labels = ["" if paired else classes[number] for number in numbers]
    ids = [number.to_bytes(16, "big") for number in range(len(numbers))]
    shown = [_picture(number) if pictures else None for number in numbers]
    pq.write_table(
        pa.table(
            {
                "id": ids,
                "label": labels,
                "seen": numbers != len(classes) - 1,
                "embedding": list(embeddings),
                "thumbnail": shown,
            },
            schema=embeddings_schema(8),
        ),
        folder / "embeddings.parquet",
    )
    left, right = generator.integers(0, len(numbers), (2, 4000))
    same = numbers[left] == numbers[right]
    distance = np.linalg.norm(embeddings[left] - embeddings[right], axis=1)
    scored_pairs = {
        "left": [ids[row] for row in left],
        "right": [ids[row] for row in right],
        "same": same,
        "distance": distance,
    }
    arrays = [pa.array(scored_pairs[field.name]).cast(field.type) for field in SCORED_PAIRS_SCHEMA]
    table = pa.table(arrays, schema=SCORED_PAIRS_SCHEMA)
    pq.write_table(table, folder / "pairs.parquet")
    worst = np.argsort(np.where(same, -distance, distance), kind="stable")[:9]
    columns = table.take(worst).to_pydict()
    for side, rows in (("left", left[worst]), ("right", right[worst])):
        columns[f"{side}_label"] = [labels[row] for row in rows]
        columns[f"{side}_thumbnail"] = [shown[row] for row in rows]
    pq.write_table(pa.table(columns, schema=WORST_PAIRS_SCHEMA), folder / "worst_pairs.parquet")
    if not paired:
        _write_label_errors(folder, labels, shown)
    verification = verification_of(same, distance)
    _evaluation_report(verification, classes, each, paired, blessed).write(folder)


def _write_label_errors(folder, labels, shown):
    """Write a suspected label error for each class, with three neighbours."""
    distinct = sorted(set(labels))
    rows = [
        {
            "source": f"{name}/0.png",
            "label": name,
            "suggested": distinct[number - 1],
            "score": 0.9 - number / 100,
            "thumbnail": shown[number],
            "neighbour_labels": [distinct[number - 1]] * 3,
            "neighbour_thumbnails": [shown[number]] * 3,
        }
        for number, name in enumerate(distinct[:24])
    ]
    table = pa.Table.from_pylist(rows, schema=SHOWN_LABEL_ERRORS_SCHEMA)
    pq.write_table(table, folder / "label_errors.parquet")


def _picture(number: int) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (28, 20), (37 * number % 256, 90, 200 - 41 * number % 200)).save(file, "PNG")
    return file.getvalue()


def verification_of(same: np.ndarray, distance: np.ndarray) -> Verification:
    def at(threshold: float) -> AtThreshold:
        called = distance <= threshold
        accuracy = float(np.mean(called == same))
        return AtThreshold(
            threshold=threshold,
            accuracy=estimate(accuracy),
            precision=estimate(0.91),
            recall=estimate(0.92),
            f1=Estimate(value=None),
            confusion=Confusion(
                true_positives=int((called & same).sum()),
                false_negatives=int((~called & same).sum()),
                false_positives=int((called & ~same).sum()),
                true_negatives=int((~called & ~same).sum()),
            ),
        )

    return Verification(
        **{"pairs": len(same), "positive_pairs": int(same.sum()), "examples": 120},
        roc_auc=estimate(0.9876),
        equal_error_rate=estimate(0.043),
        tar_at_far=tuple(
            TrueAcceptRate(false_accept_rate=rate, threshold=0.3 + rate, rate=estimate(0.8))
            for rate in (0.1, 0.01)
        ),
        fixed=at(0.5),
        calibrated=at(0.9),
    )


def _evaluation_report(verification, classes, each, paired, blessed) -> EvaluationReport:
    retrieval = Retrieval(
        **{"queries": 120, "gallery": 120, "classes": 4, "recall_at_1": estimate(0.95)},
        **{"recall_at_5": estimate(0.97), "map_at_r": estimate(0.81)},
    )
    shot = FewShot(ways=5, shots=1, episodes=100, classes=4, accuracy=estimate(0.88))
    slices = [Slice(name="all", verification=verification)]
    if not paired:
        slices = [
            Slice(name="all", verification=verification, retrieval=retrieval, few_shot=(shot,)),
            Slice(name="seen", verification=verification, retrieval=retrieval),
            Slice(name="unseen", retrieval=retrieval, few_shot=(shot,)),
            Slice(name=classes[0], verification=verification),
        ]
    check = Check(
        name="accuracy",
        **{
            "value": 0.93,
            "requirement": 0.8 if blessed else 0.99,
            "better": "higher",
            "passed": blessed,
        },
        text=f"accuracy 93.00% {'meets' if blessed else 'does not meet'} the requirement",
    )
    return EvaluationReport(
        blessed=blessed,
        checks=(check,),
        collapse=None,
        slices=tuple(slices),
        classes=()
        if paired
        else tuple(
            ClassMetrics(
                label=name,
                seen=number != len(classes) - 1,
                examples=each,
                pairs=max(100 - number, 1),
                accuracy=0.9 - number / 1000,
                accuracy_positive=0.8,
                accuracy_negative=0.99,
                recall_at_1=None if number == 1 else 0.5 + number / 10000,
            )
            for number, name in enumerate(classes)
        ),
        raw_distance=raw_distance(0.63, None if paired else estimate(0.71)),
        production=None
        if paired
        else PairedComparison(
            **{"threshold": 0.7, "accuracy": 0.92, "difference": estimate(0.01)},
            **{"only_candidate_correct": 60, "only_reference_correct": 20, "mcnemar_p": 0.0001},
        ),
        label_errors=None
        if paired
        else LabelErrorSummary(
            judged=240, suspected=30, agreement=0.9, notes=("3 <b>examples</b> were not judged.",)
        ),
        resamples=1000,
        notes=("no metrics for <em>this</em>",),
    )


def estimate(value: float) -> Estimate:
    return Estimate(value=value, low=value - 0.01, high=min(value + 0.008, 1))
