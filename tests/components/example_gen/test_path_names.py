"""Data in folders and files whose names have a meaning elsewhere."""

import os
import tempfile
from pathlib import Path

import pytest
from hostile_names import NAMES, file_names
from hypothesis import given, settings

from diptych.components.example_gen.span_files import find_span_files
from diptych.components.example_gen.spans import has_spans
from diptych.schemas.config.data import ImageFolder, Table, TFRecords

CONTENT = "y,a\nb,1\n"


@pytest.fixture(scope="module")
def folders():
    with tempfile.TemporaryDirectory() as folder:
        yield iter(Path(folder, str(number)) for number in range(10**6))


def find(kind, path):
    label = {} if kind is ImageFolder else {"label": "y"}
    data = kind(kind=kind.model_fields["kind"].annotation.__args__[0], path=str(path), **label)
    (files,) = find_span_files(data)
    return [os.path.join(files.root, file.name) for file in files.files]


@settings(deadline=None)
@given(name=file_names(), inner=file_names())
def test_an_existing_name_wins_over_its_meaning_as_a_pattern(folders, name, inner):
    folder = next(folders) / name / inner
    folder.mkdir(parents=True)
    # A file whose name starts with _ is not data.
    file = folder / f"t{inner.encode()[:200].decode(errors='ignore')}.csv"
    file.write_text(CONTENT)
    assert find(Table, folder) == [str(file)]
    assert find(Table, file) == [str(file)]
    assert find(Table, folder / "*.csv") == [str(file)]
    assert find(Table, folder.parent / "**" / "*.csv") == [str(file)]


@settings(deadline=None)
@given(name=file_names())
def test_a_class_has_the_name_of_its_folder(folders, name):
    folder = next(folders)
    (folder / name).mkdir(parents=True)
    (folder / name / "1.png").write_bytes(b"-")
    (file,) = find(ImageFolder, folder)
    assert os.path.basename(os.path.dirname(file)) == name


@pytest.mark.parametrize("name", NAMES)
def test_spans_are_found_in_any_folder(tmp_path, name):
    span = tmp_path / name / "span-3" / name
    span.mkdir(parents=True)
    (span / "records.gz").write_bytes(b"-")
    path = f"{tmp_path / name}/span-{{SPAN}}/{name}"
    if "{SPAN}" in name or "{YYYY}" in name:  # below a span, it is a pattern
        path = path.removesuffix(f"/{name}") + "/*"
        (span / "records.gz").rename(span.parent / "records.gz")
    data = TFRecords(kind="tfrecord", path=path, label="y", image="x")
    (files,) = find_span_files(data)
    assert files.span.number == 3
    assert [file.name for file in files.files] == ["records.gz"]


def test_a_folder_that_is_named_like_a_pattern_is_no_span(tmp_path):
    path = tmp_path / "day-{SPAN}"
    assert has_spans(str(path))
    path.mkdir()
    assert not has_spans(str(path))
