"""Ingest data in spans, from files to examples."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.ingest_checks import check_ingest, skip_unusable_spans
from diptych.components.example_gen.span_files import compute_fingerprint, find_span_files
from diptych.schemas.config.data import ImageFolder, Table
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.data_report import DataReport
from diptych.schemas.errors import ConfigError, DataError
from diptych.schemas.rejected_rows import IngestCounts

NO_DUPLICATES = DataReport(num_examples=(3, 3, 3))


def rows(first, count=40, label="y"):
    return f"{label},a\n" + "".join(f"{i % 3},{i / 7}\n" for i in range(first, first + count))


@pytest.fixture
def write(tmp_path):
    def write(name, content):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    return write


@pytest.fixture
def table(tmp_path):
    def table(pattern="day-{SPAN}/*.csv", **settings):
        return Table(kind="table", path=str(tmp_path / pattern), label="y", **settings)

    return table


def sources(run):
    return {e["source"].decode().partition("/")[0] for e in run.all_examples()}


def test_a_span_of_images_gives_the_examples_of_a_plain_folder(ingest, tmp_path):
    generator = np.random.default_rng(0)
    for number in range(30):
        for folder in ("plain", "span-2026-11-21/v3"):
            path = tmp_path / folder / "ab"[number % 2] / "c" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if folder == "plain":
                pixels = generator.integers(0, 256, (4, 4), np.uint8)
            Image.fromarray(pixels).save(path)
    levels = ["label", "label"]
    plain = ingest(ImageFolder(kind="images", path=str(tmp_path / "plain"), levels=levels))
    path = str(tmp_path / "span-{YYYY}-{MM}-{DD}/v{VERSION}")
    spans = ingest(ImageFolder(kind="images", path=path, levels=levels))
    assert {e["label"] for e in spans.all_examples()} == {b"a/c", b"b/c"}
    for split in ("train", "calibration", "test"):
        before, after = plain.split(split), spans.split(split)
        for example in before:
            example["source"] = b"2026-11-21/" + example["source"]
        assert before == after
    assert (spans.examples.span, spans.examples.version) == (20778, 3)
    assert json.loads(spans.examples.get_string_custom_property("spans")) == [
        {"name": "2026-11-21", "version": 3}
    ]
    assert plain.examples.get_string_custom_property("spans") == ""


def test_versions_and_windows_do_not_move_examples(ingest, write, table):
    path = "day-{SPAN}/v{VERSION}/*.csv"
    for span in (1, 2):
        write(f"day-{span}/v1/t.csv", rows(span * 100))
    both = ingest(table(path))
    write("day-2/v2/t.csv", rows(200))
    newest = ingest(table(path, window=1))
    assert (both.examples.version, newest.examples.version) == (1, 2)
    assert [run.examples.get_int_custom_property("num_spans") for run in (both, newest)] == [2, 1]
    for split in ("train", "calibration", "test"):
        of_newest = [e for e in both.split(split) if e["source"].startswith(b"2/t.csv:")]
        assert of_newest == newest.split(split)


def test_an_invalid_older_span_is_skipped_completely(ingest, write, table, tmp_path, caplog):
    write("day-1/t.csv", rows(0) + ",1\n" * 8)
    (tmp_path / "day-2").mkdir()
    write("day-3/t.parquet", "not Parquet")
    write("day-4/t.csv", rows(100, label="z"))
    write("day-5/t.csv", rows(200) + ",1\n")
    write("day-6/t.csv", rows(300))
    with caplog.at_level(logging.WARNING, "diptych"):
        run = ingest(table("day-{SPAN}", max_rejected=0.1))
    assert sources(run) == {"5", "6"}
    assert run.reasons() == {"5/t.csv:42": "column 'y' has no value"}
    assert json.loads(run.examples.get_string_custom_property("spans")) == [
        {"name": "5", "version": None},
        {"name": "6", "version": None},
    ]
    skipped_spans = json.loads(run.rejected.get_string_custom_property("skipped_spans"))
    for name, reason in {
        "1": "8 of 48 rows or images were rejected (16.67%)",
        "2": "No data files",
        "3": "t.parquet",
        "4": "has no column 'y'",
    }.items():
        assert reason in skipped_spans.pop(name)
        assert any(f"Skipped the span {name}: " in line for line in caplog.messages)
    assert not skipped_spans
    assert run.rejected.get_int_custom_property("num_read") == 81
    assert run.rejected.get_int_custom_property("num_rejected") == 1


def test_an_invalid_newest_span_stops_the_run(ingest, write, table):
    write("day-1/t.csv", rows(0, 1000))
    write("day-2/t.csv", rows(2000) + ",1\n")  # 1 of 1,041 rows in total, 1 of 41 in this span
    with pytest.raises(DataError, match=r"The newest span, 2: 1 of 41 rows .*data\.max_rejected"):
        ingest(table())


def test_if_all_older_spans_are_invalid_the_newest_is_reported():
    invalid, valid = IngestCounts(failures=["t.csv has no column 'z'."]), IngestCounts(num_read=9)
    summary = skip_unusable_spans({"1": invalid, "2": invalid, "3": valid}, 0.1)
    assert set(summary.skipped_spans) == {"1", "2"}
    with pytest.raises(DataError, match=r"None of the 2 older spans .* newest, 3\..*column 'z'"):
        check_ingest(summary, NO_DUPLICATES, 0.1, SplitConfig())
    counted = valid.model_copy(update={"num_examples": (3, 3, 3)})
    summary = skip_unusable_spans({"2": invalid, "3": counted}, 0.1)
    check_ingest(summary, NO_DUPLICATES, 0.1, SplitConfig())


@pytest.mark.parametrize("names", [[], ["t.csv"]])
def test_an_empty_newest_span_stops_the_run(write, table, tmp_path, names):
    write("day-1/t.csv", rows(0))
    (tmp_path / "day-2").mkdir()
    for name in names:
        (tmp_path / "day-2" / name).touch()
    with pytest.raises(DataError, match=r"The newest span, 2, has no usable files: .* complete"):
        infer_input_spec(table(), SplitConfig())


def test_classes_may_be_in_different_spans(write, table):
    write("day-1/t.csv", "y,a\nant,1\n")
    write("day-2/t.csv", "y,a\nbee,1\n")
    assert infer_input_spec(table(), SplitConfig()).columns[0].name == "a"
    with pytest.raises(DataError, match=r"at least 2 classes"):
        infer_input_spec(table(window=1), SplitConfig())


def test_a_new_span_or_window_changes_the_fingerprint(write, table):
    write("day-1/v1/t.csv", rows(0))
    path = "day-{SPAN}/v{VERSION}/*.csv"
    seen = [compute_fingerprint(find_span_files(table(path)))]
    write("day-2/v1/t.csv", rows(100))
    for window in (None, 1):
        seen.append(compute_fingerprint(find_span_files(table(path, window=window))))
    write("day-2/v2/t.csv", rows(100))
    seen.append(compute_fingerprint(find_span_files(table(path))))
    assert len(set(seen)) == 4
    assert compute_fingerprint(find_span_files(table(path))) == seen[-1]


def test_a_window_needs_spans(write, table, tmp_path):
    write("t.csv", rows(0))
    with pytest.raises(ConfigError, match=r"data\.window is 3, but data\.path has no spans"):
        find_span_files(table("t.csv", window=3))


def test_spans_in_a_bucket_raise_an_error():
    with pytest.raises(ConfigError, match="mounted disk"):
        find_span_files(Table(kind="table", path="gs://bucket/{SPAN}/*.csv", label="y"))


def test_a_file_may_be_a_span(write, table):
    for day in ("20", "21"):
        write(f"night-202611{day}.csv", rows(0))
    parts = find_span_files(table("night-{YYYY}{MM}{DD}.csv"))
    assert [(part.name, part.files[0].name) for part in parts] == [
        ("2026-11-20", "night-20261120.csv"),
        ("2026-11-21", "night-20261121.csv"),
    ]
