"""Complete runs on tables, pairs and TFRecords, from raw files to a pushed model."""

import json
import sys

import numpy as np
import pandas as pd
from pipeline_runs import (
    QUICK,
    assert_run_fails,
    blobs,
    pushed_version,
    run_in_fresh_process,
    write_config,
)

from diptych.schemas.evaluation import EvaluationReport
from diptych.schemas.manifest import ModelManifest

_COMPARE = """
left, right = tf.constant({left}, tf.float32), tf.constant({right}, tf.float32)
out = model.signatures["compare"](left=left, right=right)
print(json.dumps(out["same"].numpy().tolist()))
"""


def predict_same(model, left, right):
    code = _COMPARE.format(left=left.tolist(), right=right.tolist())
    return run_in_fresh_process(model, code)


def test_anomalies_against_an_imported_schema_stop_the_run_or_warn(tmp_path, run_in_process):
    x, labels = blobs(400, seed=1)
    table = pd.DataFrame(x, columns=list("abcde"))
    table.insert(0, "species", np.array(["ant", "bee", "cat"])[labels])
    table.to_csv(tmp_path / "data.csv", index=False)
    _write_schema(tmp_path / "schema.pbtxt", numbers="abcde", bounded="c")
    config = write_config(
        tmp_path,
        {"kind": "table", "path": "data.csv", "label": "species"},
        validation={"schema_file": "schema.pbtxt"},
    )
    stopped = run_in_process(config, tmp_path / "root")
    assert_run_fails(
        stopped, "do not match the schema", "train split, c: Unexpectedly high", "warn"
    )

    warned = run_in_process(config, tmp_path / "root", "validation.anomalies=warn")
    model = pushed_version(warned, tmp_path / "root")
    ant, bee = x[labels == 0], x[labels == 1]
    same = predict_same(
        model, np.concatenate([ant[:20], ant[:20]]), np.concatenate([ant[20:40], bee[:20]])
    )
    assert np.mean(same[:20]) > 0.7
    assert np.mean(same[20:]) < 0.3


def _write_schema(path, numbers, bounded):
    from tensorflow_metadata.proto.v0 import schema_pb2
    from tfx.utils import io_utils

    schema = schema_pb2.Schema()
    kinds = dict.fromkeys(numbers, schema_pb2.FLOAT)
    for name, kind in {
        **kinds,
        **dict.fromkeys(("label", "id", "source"), schema_pb2.BYTES),
    }.items():
        feature = schema.feature.add(name=name, type=kind)
        feature.presence.min_fraction = 1
        feature.shape.dim.add(size=1)
        if name == bounded:
            feature.float_domain.max = 0.5
    io_utils.write_pbtxt_file(str(path), schema)


def test_a_parquet_list_column_is_evaluated_on_unseen_classes(tmp_path, run_in_process):
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 12, 600)
    x = generator.normal(size=(12, 5))[labels] * 4 + generator.normal(size=(600, 5))
    pd.DataFrame({"label": labels, "embedding": x.tolist()}).to_parquet(tmp_path / "data.parquet")
    config = write_config(
        tmp_path,
        {"kind": "table", "path": "data.parquet", "label": "label", "columns": "embedding"},
        split={"by": "class", "train": 0.5, "calibration": 0.25, "test": 0.25, "seed": 8},
        # Six classes are too few to learn a distance for others that is better than the plain one.
        evaluate={"requirements": {"accuracy": 0.5, "beats_baseline": False}, "bootstrap": 100},
    )
    root = tmp_path / "root"
    pushed_version(run_in_process(config, root), root)
    (file,) = root.glob("artifacts/Evaluator/evaluation/*/evaluation.json")
    classes = EvaluationReport.read(file.parent).classes
    test_labels = {one.label for one in classes}
    assert not any(one.seen for one in classes)
    (vocabulary,) = root.glob("artifacts/Transform/transform_graph/*/transform_fn/assets/classes")
    assert test_labels
    assert not test_labels & set(vocabulary.read_text().split())


def test_pairs_in_spans_with_an_invalid_older_span_and_drift_in_the_newest(
    tmp_path, run_in_process
):
    x, labels = blobs(1200, seed=2)
    left, right = x[:600], x[600:]
    table = pd.DataFrame(
        np.concatenate([left, right], axis=1), columns=[f"v{i}" for i in range(10)]
    )
    table["class"] = (labels[:600] == labels[600:]).astype(int)
    invalid = pd.concat([table[:90], pd.DataFrame({"class": [None] * 10})])
    for span, rows in {"02-27": table[:300], "02-28": invalid, "03-01": table[300:]}.items():
        (tmp_path / f"span-2026-{span}" / "v1").mkdir(parents=True)
        rows.to_parquet(tmp_path / f"span-2026-{span}" / "v1" / "data.parquet")
    path = "span-{YYYY}-{MM}-{DD}/v{VERSION}/*.parquet"
    data = {"kind": "pairs", "path": path, "same": "class", "left": 5, "right": 5}
    config = write_config(
        tmp_path, data, evaluate={"requirements": {"accuracy": 0.6}, "bootstrap": 100}
    )
    strict = ("validation.max_value_drift=0.0001", "validation.drift=stop")
    stopped = run_in_process(config, tmp_path / "root", *strict)
    assert_run_fails(
        stopped, "The newest span, 2026-03-01, has drifted: v", "Jensen-Shannon", "warn"
    )

    result = run_in_process(config, tmp_path / "root")
    model = pushed_version(result, tmp_path / "root")
    assert "Skipped       span 2026-02-28: 10 of 100 rows" in result.stdout
    assert "Newest span   2026-03-01, largest drift: " in result.stdout
    data_manifest = ModelManifest.read(model).data
    assert data_manifest["span"] == 20513  # days from 1970-01-01 to 2026-03-01
    assert data_manifest["spans"] == [
        {"name": "2026-02-27", "version": 1},
        {"name": "2026-03-01", "version": 1},
    ]
    same = predict_same(model, left, right)
    assert np.mean(np.array(same) == (table["class"] == 1)) > 0.7


def test_tfrecords_with_a_custom_encoder(tmp_path, run_in_process, monkeypatch):
    import tensorflow as tf

    x, labels = blobs(400, seed=3)
    with tf.io.TFRecordWriter(str(tmp_path / "data.tfrecord.gz"), "GZIP") as writer:
        for vector, label in zip(x, labels, strict=True):
            features = {
                "v": tf.train.Feature(float_list=tf.train.FloatList(value=vector)),
                "y": tf.train.Feature(int64_list=tf.train.Int64List(value=[label])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())
    data = {"kind": "tfrecord", "path": "data.tfrecord.gz", "label": "y", "vector": "v"}
    config = write_config(
        *(tmp_path, data),
        model={"encoder": "own_encoder:build", "embedding_size": 3},
        pairs={**QUICK["pairs"], "negatives": "similar_classes", "classes_per_batch": 5},
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "")
    failed = run_in_process(config, tmp_path / "root")
    assert_run_fails(failed, "model.encoder own_encoder:build: the module own_encoder was not")
    assert not (tmp_path / "root" / "artifacts").exists()

    (tmp_path / "own_encoder.py").write_text(
        "import keras\n\n\ndef build(shape, embedding_size):\n"
        "    return keras.Sequential([keras.Input(shape), keras.layers.Dense(embedding_size)])\n"
    )
    result = run_in_process(config, tmp_path / "root")
    assert "Negatives     random: no model is in production yet" in result.stdout
    model = pushed_version(result, tmp_path / "root")
    assert "pairs.classes_per_batch is 5, but the data have only 3 classes" in result.stdout
    (card,) = model.glob("assets.extra/diptych.json")
    assert json.loads(card.read_text())["embedding_size"] == 3
