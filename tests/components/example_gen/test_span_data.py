"""Data in spans, from files to examples."""

import json
import logging

import numpy as np
import pytest
from PIL import Image

from diptych.components.example_gen.files import find_data, fingerprint_of
from diptych.components.example_gen.preflight import settle
from diptych.components.example_gen.rejections import Summary, check, judge
from diptych.schemas.config.data import ImageFolder, Table
from diptych.schemas.config.split import Split
from diptych.schemas.errors import ConfigError, DataError


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
    return {e["source"].decode().partition("/")[0] for e in run.everything()}


def test_images_in_a_span_are_those_of_a_plain_folder(ingest, tmp_path):
    generator = np.random.default_rng(0)
    for number in range(30):
        for folder in ("plain", "span-2026-11-21/v3"):
            path = tmp_path / folder / "ab"[number % 2] / "c" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            if folder == "plain":
                pixels = generator.integers(0, 256, (4, 4), np.uint8)
            Image.fromarray(pixels).save(path)
    plain = ingest(ImageFolder(kind="images", path=str(tmp_path / "plain")))
    path = str(tmp_path / "span-{YYYY}-{MM}-{DD}/v{VERSION}")
    spans = ingest(ImageFolder(kind="images", path=path))
    assert {e["label"] for e in spans.everything()} == {b"a/c", b"b/c"}
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


def test_neither_version_nor_window_moves_an_example(ingest, write, table):
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


def test_an_older_span_that_is_bad_is_left_out_whole(ingest, write, table, tmp_path, caplog):
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
    left_out = json.loads(run.rejected.get_string_custom_property("left_out"))
    for name, said in {
        "1": "8 of 48 rows or images were rejected (16.67%)",
        "2": "No data files",
        "3": "t.parquet",
        "4": "has no column 'y'",
    }.items():
        assert said in left_out.pop(name)
        assert any(f"The span {name} is left out: " in line for line in caplog.messages)
    assert not left_out
    assert run.rejected.get_int_custom_property("num_read") == 81
    assert run.rejected.get_int_custom_property("num_rejected") == 1


def test_the_newest_span_stops_the_run_when_it_is_bad(ingest, write, table):
    write("day-1/t.csv", rows(0, 1000))
    write("day-2/t.csv", rows(2000) + ",1\n")  # one of 1,041 in all, one of 41 of its own
    with pytest.raises(DataError, match=r"The newest span, 2: 1 of 41 rows .*data\.max_rejected"):
        ingest(table())


def test_what_makes_all_older_spans_look_wrong_is_taken_for_the_newest_ones_fault():
    bad, good = Summary(failures=["t.csv has no column 'z'."]), Summary(num_read=9)
    reading = judge({"1": bad, "2": bad, "3": good}, 0.1)
    assert set(reading.left_out) == {"1", "2"}
    with pytest.raises(DataError, match=r"None of the 2 spans before .* newest, 3\..*column 'z'"):
        check(reading, 0.1, Split())
    counted = good.model_copy(update={"num_examples": (3, 3, 3)})
    check(judge({"2": bad, "3": counted}, 0.1), 0.1, Split())


@pytest.mark.parametrize("there", [[], ["t.csv"]])
def test_an_empty_newest_span_stops_the_run(write, table, tmp_path, there):
    write("day-1/t.csv", rows(0))
    (tmp_path / "day-2").mkdir()
    for name in there:
        (tmp_path / "day-2" / name).touch()
    with pytest.raises(DataError, match=r"The newest span, 2, has nothing in it .* whole"):
        settle(table(), Split())


def test_the_classes_may_be_in_different_spans(write, table):
    write("day-1/t.csv", "y,a\nant,1\n")
    write("day-2/t.csv", "y,a\nbee,1\n")
    assert settle(table(), Split()).columns[0].name == "a"
    with pytest.raises(DataError, match=r"At least 2 classes"):
        settle(table(window=1), Split())


def test_a_new_span_and_another_window_are_other_data(write, table):
    write("day-1/v1/t.csv", rows(0))
    path = "day-{SPAN}/v{VERSION}/*.csv"
    seen = [fingerprint_of(find_data(table(path)))]
    write("day-2/v1/t.csv", rows(100))
    for window in (None, 1):
        seen.append(fingerprint_of(find_data(table(path, window=window))))
    write("day-2/v2/t.csv", rows(100))
    seen.append(fingerprint_of(find_data(table(path))))
    assert len(set(seen)) == 4
    assert fingerprint_of(find_data(table(path))) == seen[-1]


def test_a_window_needs_spans(write, table, tmp_path):
    write("t.csv", rows(0))
    with pytest.raises(ConfigError, match=r"data\.window \(3\) is a number of spans"):
        find_data(table("t.csv", window=3))


def test_spans_in_a_bucket_are_refused():
    with pytest.raises(ConfigError, match="mounted disk"):
        find_data(Table(kind="table", path="gs://bucket/{SPAN}/*.csv", label="y"))


def test_a_file_may_be_a_span(write, table):
    for day in ("20", "21"):
        write(f"night-202611{day}.csv", rows(0))
    parts = find_data(table("night-{YYYY}{MM}{DD}.csv"))
    assert [(part.name, part.files[0].name) for part in parts] == [
        ("2026-11-20", "night-20261120.csv"),
        ("2026-11-21", "night-20261121.csv"),
    ]
