import pytest

from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.schemas.config.data import PairTable, Table
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.data_report import Corrections, describe_corrections
from diptych.schemas.errors import ConfigError


@pytest.fixture
def table(tmp_path):
    """Return a function from the text of the corrections to the configuration of a table."""
    rows = "".join(f"{row % 3},{row / 7},{row * 11 % 13}\n" for row in range(60))
    (tmp_path / "t.csv").write_text("y,a,b\n" + rows)

    def make(corrections):
        (tmp_path / "c.csv").write_text(corrections, encoding="utf-8-sig")
        path = str(tmp_path / "t.csv")
        return Table(kind="table", path=path, label="y", corrections=str(tmp_path / "c.csv"))

    return make


def test_labels_are_corrected_and_examples_removed_by_source_or_id(table, ingest):
    plain = ingest(table("source,label\n").model_copy(update={"corrections": None}))
    ids = {e["source"].decode(): e["id"].decode() for e in plain.all_examples()}
    run = ingest(
        table(
            "source,id,label,score\n"
            "t.csv:2, ,2,0.9\n"
            "t.csv:3,,,\n"
            f",{ids['t.csv:4']},remove,\n"
            f",{ids['t.csv:5']},é,\n"
            "t.csv:6,,1.0,\n"  # its label already, as pandas writes it next to empty labels
            "t.csv:99,,1,\n"
        )
    )
    labels = {e["source"].decode(): e["label"].decode() for e in run.all_examples()}
    assert labels["t.csv:2"] == "2"
    assert labels["t.csv:5"] == "é"
    assert labels["t.csv:6"] == "1"
    assert sorted(set(ids) - set(labels)) == ["t.csv:3", "t.csv:4"]
    assert run.report().corrections == Corrections(
        num_relabelled=2,
        num_removed=2,
        num_unknown=1,
        unknown=("t.csv:99",),
        new_labels=("é",),
    )
    assert run.reasons() == {}
    assert run.examples.get_int_custom_property("num_examples") == 58
    fingerprints = {
        each.examples.get_string_custom_property("fingerprint") for each in (plain, run)
    }
    assert len(fingerprints) == 2  # edited corrections are no cache hit


@pytest.mark.parametrize(
    ("encoding", "delimiter"), [("utf-16", "\t"), ("utf-8", ";"), ("utf-8-sig", ",")]
)
def test_the_formats_of_spreadsheets_are_read(table, ingest, tmp_path, encoding, delimiter):
    config = table("")
    rows = (("source", "label", "score"), ("t.csv:2", "é", "0.9"), ("t.csv:3", "", ""))
    text = "".join(delimiter.join(row) + "\r\n" for row in rows)
    (tmp_path / "c.csv").write_bytes(text.encode(encoding))
    run = ingest(config)
    assert run.report().corrections == Corrections(
        num_relabelled=1, num_removed=1, num_unknown=0, new_labels=("é",)
    )
    assert describe_corrections(run.report().corrections) == (
        "1 labels corrected, 1 removed, no other example has the corrected label 'é'"
    )
    labels = {e["source"].decode(): e["label"].decode() for e in run.all_examples()}
    assert labels["t.csv:2"] == "é"


def test_examples_are_named_by_their_key_in_the_column_of_the_ids(table, ingest, tmp_path):
    (tmp_path / "t.csv").write_text(
        "key,y,a,b\n" + "".join(f"k{row},{row % 3},{row / 7},{row}\n" for row in range(60))
    )
    run = ingest(table("id,label\nk0,2\nk1,\n").model_copy(update={"id": "key"}))
    assert run.report().corrections == Corrections(num_relabelled=1, num_removed=1, num_unknown=0)
    labels = {e["source"].decode(): e["label"].decode() for e in run.all_examples()}
    assert labels["t.csv:2"] == "2"
    assert "t.csv:3" not in labels


def test_an_unchanged_row_of_a_class_named_remove_has_no_effect(table, ingest, tmp_path):
    (tmp_path / "t.csv").write_text(
        "y,a,b\n" + "".join(f"{'remove' if row % 2 else 'keep'},{row},1\n" for row in range(60))
    )
    run = ingest(table("source,label\nt.csv:2,remove\nt.csv:3,remove\n"))
    assert run.report().corrections == Corrections(num_relabelled=0, num_removed=1, num_unknown=0)
    assert "t.csv:2" not in {e["source"].decode() for e in run.all_examples()}


def test_a_corrected_label_decides_the_split_by_class(table, ingest, tmp_path):
    config = table("source,label\nt.csv:2,1\n")
    rows = "".join(f"{row % 12},{row / 7},{row * 11 % 13}\n" for row in range(60))
    (tmp_path / "t.csv").write_text("y,a,b\n" + rows)
    splits = ingest(config, SplitConfig(by="class")).split_of_sources()
    assert splits["t.csv:2"] == splits["t.csv:3"]  # of class 1
    assert splits["t.csv:2"] != splits["t.csv:14"]  # of class 0, as t.csv:2 was before


def test_pairs_are_corrected_to_positive_and_negative(tmp_path, ingest):
    rows = "".join(f"{row % 2},{row},{row + 0.5}\n" for row in range(60))
    (tmp_path / "t.csv").write_text("same,left,right\n" + rows)
    (tmp_path / "c.csv").write_text("source,label\nt.csv:2,positive\nt.csv:3,negative\n")
    options = {"same": "same", "left": ["left"], "right": ["right"]}
    data = PairTable(
        kind="pairs",
        path=str(tmp_path / "t.csv"),
        corrections=str(tmp_path / "c.csv"),
        **options,
    )
    run = ingest(data)
    same = {e["source"].decode(): e["same"] for e in run.all_examples()}
    assert (same["t.csv:2"], same["t.csv:3"], same["t.csv:4"]) == (1, 0, 0)
    (tmp_path / "c.csv").write_text("source,label\nt.csv:2,same\n")
    with pytest.raises(ConfigError, match=r"must be positive, negative or empty.*got 'same'"):
        ingest(data)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("source,name\na,b\n", r"needs the column label, and source or id, got: 'source', 'name'"),
        ("label\nb\n", "needs the column label, and source or id"),
        ("source,label\n,b\n", "row 2 has neither a source nor an id"),
        ("source,label\na,b\na,c\n", "'a' has two different labels, 'b' and 'c'"),
        ("", "needs the column label, and source or id, got: no columns"),
        ('source,label\n"a,b\n', "cannot be read: .*Expected a CSV file in UTF-8"),
        ("source,label,suggested\na,b,c,\n", "cannot be read: row 2: row does not have 3 fields"),
        ("source,label\na,b\nc\n", "cannot be read: row 3: row does not have 2 fields"),
        ("source,label,label\na,b,c\n", "cannot be read: .* has 2 columns named 'label'"),
    ],
)
def test_an_unusable_file_stops_the_run(table, ingest, text, match):
    data = table(text)
    with pytest.raises(ConfigError, match=match):
        ingest(data, inputs=infer_input_spec(data, SplitConfig()))


def test_a_missing_file_stops_the_run(table, ingest, tmp_path):
    data = table("").model_copy(update={"corrections": str(tmp_path / "none.csv")})
    with pytest.raises(ConfigError, match=r"Cannot read data\.corrections .*none\.csv: No such"):
        ingest(data)
