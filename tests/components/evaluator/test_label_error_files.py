import csv

import numpy as np
import pyarrow.parquet as pq
import pytest

from diptych.components.evaluator import labelled_examples
from diptych.components.evaluator.label_error_files import write_label_errors
from diptych.components.evaluator.labelled_examples import (
    LabelledEmbeddings,
    RawSplit,
    embed_labelled_examples,
)
from diptych.schemas.evaluation import SHOWN_LABEL_ERRORS_SCHEMA
from diptych.schemas.input_spec import Column, InputSpec

INPUTS = InputSpec(kind="vector", columns=(Column(name="v", width=2),))


class Euclidean:
    distance_name = "euclidean"
    distance_weights = None

    def distance(self, left, right):
        return np.linalg.norm(left - right, axis=1)

    def embed(self, raw):
        return raw * 2


@pytest.fixture
def examples():
    """Two clusters of 12; the first example of the second has the label of the first."""
    embeddings = np.random.default_rng(0).normal(size=(24, 2)).astype(np.float32)
    embeddings[12:] += 50
    labels = np.array([b"ant"] * 13 + [b"bee \xff|"] * 11, object)
    sources = np.array([f"a,b\n{row}.png".encode() for row in range(24)], object)
    ids = np.arange(24 * 16, dtype=np.uint8).reshape(24, 16)
    return LabelledEmbeddings(ids, labels, sources, embeddings, np.ones(24, bool), num_skipped=7)


def render(ids):
    assert [bytes(one) for one in ids] == sorted({bytes(one) for one in ids})
    return [b"picture " + bytes(one) for one in ids]


def test_the_csv_file_lists_each_suspected_example_with_a_suggestion(examples, tmp_path):
    summary = write_label_errors(tmp_path, examples, Euclidean(), render)
    with (tmp_path / "suspected_label_errors.csv").open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["source", "label", "suggested", "score"]
    ((source, label, suggested, score),) = rows
    assert (source, label, suggested) == ("a,b\n12.png", "ant", "bee \N{REPLACEMENT CHARACTER}|")
    assert 0.9 < float(score) <= 1
    assert (summary.judged, summary.suspected) == (24, 1)
    assert summary.notes == ("7 more examples were not judged: 10,000 of each split are.",)


def test_the_table_has_pictures_of_the_example_and_its_neighbours(examples, tmp_path):
    write_label_errors(tmp_path, examples, Euclidean(), render)
    table = pq.read_table(tmp_path / "label_errors.parquet")
    assert table.schema.equals(SHOWN_LABEL_ERRORS_SCHEMA)
    (row,) = table.to_pylist()
    assert row["thumbnail"] == b"picture " + bytes(examples.ids[12])
    assert row["neighbour_labels"] == ["bee \N{REPLACEMENT CHARACTER}|"] * 5
    distance = np.linalg.norm(examples.embeddings - examples.embeddings[12], axis=1)
    nearest = np.argsort(distance)[1:6]
    expected = [b"picture " + bytes(examples.ids[near]) for near in nearest]
    assert row["neighbour_thumbnails"] == expected


def test_clean_data_have_a_header_and_an_empty_table(examples, tmp_path):
    labels = np.array([b"ant"] * 12 + [b"bee"] * 12, object)
    clean = LabelledEmbeddings(
        examples.ids, labels, examples.sources, examples.embeddings, examples.held_out, 0
    )
    summary = write_label_errors(tmp_path, clean, Euclidean(), render)
    assert (summary.suspected, summary.agreement, summary.notes) == (0, 1.0, ())
    text = (tmp_path / "suspected_label_errors.csv").read_text()
    assert text == "source,label,suggested,score\n"
    assert pq.read_table(tmp_path / "label_errors.parquet").num_rows == 0


def test_rare_classes_and_a_useless_embedding_have_notes(examples, tmp_path):
    labels = np.array([b"ant", b"bee"] * 10 + [b"cat"] * 4, object)
    mixed = LabelledEmbeddings(
        examples.ids,
        labels,
        examples.sources,
        np.zeros_like(examples.embeddings)
        + np.random.default_rng(1).normal(size=(24, 2)).astype(np.float32),
        examples.held_out,
        0,
    )
    summary = write_label_errors(tmp_path, mixed, Euclidean(), render)
    unreliable, rare = summary.notes
    assert unreliable.startswith("No label error is suspected, because the nearest neighbours ")
    assert rare.startswith("4 examples were not judged, because their class has fewer than 5 ")


def write_raw(write_records, path, numbers):
    return write_records(
        path,
        [
            {
                "v": [float(number), 0.0],
                "label": [b"odd" if number % 2 else b"even"],
                "id": [f"{number:032x}".encode()],
                "source": [f"row {number}".encode()],
            }
            for number in numbers
        ],
    )


def test_all_splits_are_embedded_with_labels_and_sources(write_records, tmp_path):
    splits = {
        "train": RawSplit([write_raw(write_records, tmp_path / "a.gz", [1, 2, 3])], 3, False),
        "test": RawSplit(
            [write_raw(write_records, tmp_path / f"{n}.gz", [n]) for n in (5, 4)], 2, True
        ),
    }
    found = embed_labelled_examples(splits, INPUTS, Euclidean())
    assert found.embeddings[:, 0].tolist() == [2, 4, 6, 8, 10]  # files sorted by name
    assert found.labels.tolist() == [b"odd", b"even", b"odd", b"even", b"odd"]
    assert found.sources.tolist() == [f"row {n}".encode() for n in range(1, 6)]
    assert found.ids[:, 15].tolist() == [1, 2, 3, 4, 5]
    assert found.held_out.tolist() == [False, False, False, True, True]
    assert found.num_skipped == 0


def test_large_splits_are_sampled_evenly(write_records, tmp_path, monkeypatch):
    monkeypatch.setattr(labelled_examples, "_MAX_TRAINING", 4)
    monkeypatch.setattr(labelled_examples, "_MAX_HELD_OUT", 3)
    monkeypatch.setattr(labelled_examples, "_BATCH_SIZE", 2)
    file = write_raw(write_records, tmp_path / "a.gz", range(12))
    splits = {name: RawSplit([file], 12, name != "train") for name in ("train", "test")}
    found = embed_labelled_examples(splits, INPUTS, Euclidean())
    assert found.ids[:, 15].tolist() == [2, 5, 8, 11, 3, 7, 11]
    assert found.num_skipped == 9
