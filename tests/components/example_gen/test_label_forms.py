import io
from pathlib import Path

import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from diptych.components.common.cell_values import find_text_forms
from diptych.components.example_gen import label_forms
from diptych.components.example_gen.label_forms import find_similar_labels, merge_label_forms
from diptych.components.example_gen.span_files import find_files
from diptych.schemas.config.data import ImageFolder, Table
from diptych.schemas.rejected_rows import IngestSummary, ReasonCount

SIMILAR = "labels that differ only in case or white space are different classes"
MERGED = "labels that differ only in white space or normal form are one class"


def forms_of(pairs):
    forms = {}
    for text, label in pairs:
        forms.setdefault(label, set()).add(text)
    return forms


def merge(*batches):
    return merge_label_forms(map(forms_of, batches))


def test_labels_that_differ_in_case_or_inner_white_space_are_named():
    labels = ["Anna", "anna", "Bert", "New York", "new\u00a0york", "Zo\u00eb"]
    found = list(find_similar_labels({label: {label} for label in labels}))
    assert found == [
        ("Anna", f"{SIMILAR}: 'Anna', 'anna'"),
        ("Anna", f"{SIMILAR}: 'Anna', 'anna'"),
        ("New York", f"{SIMILAR}: 'New York', 'new\\xa0york'"),
        ("New York", f"{SIMILAR}: 'New York', 'new\\xa0york'"),
    ]


def test_texts_that_become_one_class_are_named():
    cells = pa.array(["Zoe\u0308", "Zo\u00eb", "Anna", " Bert", "1.0", "1", "NA", None])
    forms = merge(find_text_forms(cells), find_text_forms(pa.array(["Anna "]).dictionary_encode()))
    assert forms["1"] == {"1"}
    assert forms["Bert"] == {" Bert"}
    assert list(find_similar_labels(forms)) == [
        ("Anna", f"{MERGED}: 'Anna', 'Anna '"),
        ("Anna", f"{MERGED}: 'Anna', 'Anna '"),
        ("Zo\u00eb", f"{MERGED}: 'Zoe\\u0308', 'Zo\u00eb'"),
        ("Zo\u00eb", f"{MERGED}: 'Zoe\\u0308', 'Zo\u00eb'"),
    ]


def test_many_similar_labels_are_counted():
    forms = {label: {label} for i in range(30) for label in (f"a{i}", f"A{i}")}
    found = list(find_similar_labels(forms))
    assert sum(text == f"{SIMILAR} (further ones)" for _, text in found) == 20


def test_too_many_labels_are_not_compared(monkeypatch):
    monkeypatch.setattr(label_forms, "_MAX_LABELS", 3)
    batches = [[(str(i), str(i))] for i in range(4)]
    assert merge(*batches[:3]) == {"0": {"0"}, "1": {"1"}, "2": {"2"}}
    assert merge(*batches) is merge(*reversed(batches)) is None
    assert merge_label_forms([merge(*batches), {"0": {"0"}}]) is None


@given(st.lists(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("AB")))))
def test_forms_do_not_depend_on_the_order_of_batches(batches):
    assert merge(*batches) == merge(*reversed(batches))


def test_a_run_reports_similar_labels_of_all_files(tmp_path, ingest):
    for name, first, labels in (("a", 0, ["Anna", "Bert "]), ("b", 120, ["anna", "Bert"])):
        frame = pd.DataFrame({"y": labels * 60, "x": range(first, first + 120)})
        frame.to_csv(tmp_path / f"{name}.csv", index=False)
    run = ingest(Table(kind="table", path=str(tmp_path), label="y"))
    findings = IngestSummary.read(Path(run.rejected.uri)).used.findings
    assert findings == {
        f"{SIMILAR}: 'Anna', 'anna'": ReasonCount(count=2, source="Anna"),
        f"{MERGED}: 'Bert', 'Bert '": ReasonCount(count=2, source="Bert"),
    }


def test_folders_that_differ_in_case_are_found(tmp_path):
    encoded = io.BytesIO()
    Image.new("L", (4, 4)).save(encoded, "PNG")
    for name in ("bert/1.png", "anna/3.png", "Anna/4.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded.getvalue())
    data = ImageFolder(kind="images", path=str(tmp_path))
    forms = label_forms.labels_of_paths(find_files(data), data)
    assert {label for label, _ in find_similar_labels(forms)} == {"Anna"}
