import io

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from diptych.cli.embed import show_progress_bar
from diptych.inference.embed import embed_files
from diptych.inference.pushed_model import PushedModel


def embeddings_of(path):
    table = pq.read_table(path)
    return dict(zip(table["source"].to_pylist(), table["embedding"].to_pylist(), strict=True))


def test_embeddings_of_a_folder_of_images_have_labels(diptych, image_model, greys, tmp_path):
    (greys / "light" / "notes.png").write_text("a wren")
    out = tmp_path / "out.parquet"
    result = diptych("embed", greys, "--out", out, "--model", image_model)
    assert result.exit_code == 0, result.output
    first, second = result.output.splitlines()
    assert f"Wrote {out}: 4 embeddings of 4 numbers by birds, version 5, in " in first
    assert second == (
        "Rejected 1: not an image but text (1). "
        f"All are listed in {tmp_path / 'out.rejected.parquet'}"
    )
    table = pq.read_table(out)
    assert table["label"].to_pylist() == ["dark", "dark", "light", "light"]
    np.testing.assert_allclose(embeddings_of(out)["light/204.png"], [0.8] * 4, atol=1e-6)
    assert pq.read_table(tmp_path / "out.rejected.parquet")["source"].to_pylist() == [
        "light/notes.png"
    ]


def test_embedding_a_corrected_table_removes_the_list_of_rejected_rows(
    diptych, number_model, birds, tmp_path
):
    out = tmp_path / "out.parquet"
    assert "Rejected 1: column 'a' has no value (1)." in (
        diptych("embed", birds, "--out", out, "--model", number_model).output
    )
    found = embeddings_of(out)
    assert list(found) == [f"birds.csv:{row}" for row in (2, 3, 5, 6)]
    assert found["birds.csv:3"] == [3, 4]
    assert pq.read_table(out)["label"].to_pylist() == ["wren", "owl", "wren", None]
    pd.read_csv(birds).dropna(subset="a").to_csv(birds, index=False)
    assert diptych("embed", birds, "--out", out, "--model", number_model).exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["birds.csv", "out.parquet"]


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_shown_only_on_a_terminal(number_model, birds, tmp_path, terminal):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=terminal, width=80)
    with show_progress_bar(console, "Embedding") as progress:
        embed_files(PushedModel(number_model), birds, tmp_path / "out.parquet", progress)
    assert ("Embedding" in screen.getvalue()) is terminal
    # The number of rows of a CSV file is unknown before it is read.
    assert ("5/?" in screen.getvalue()) is terminal


def test_beam_writes_the_same_rows_in_shards(diptych, number_model, birds, tmp_path):
    tables = tmp_path / "tables"
    tables.mkdir()
    birds.rename(tables / "birds.csv")
    more = pd.DataFrame(np.random.default_rng(0).normal(size=(900, 2)), columns=["a", "b"])
    more.assign(species="owl").to_parquet(tables / "more.parquet", index=False)
    model = ("--model", number_model)
    assert diptych("embed", tables, "--out", tmp_path / "one.parquet", *model).exit_code == 0
    arguments = ("--runner", "local", *model)
    result = diptych("embed", tables, "--out", tmp_path / "shards", *arguments)
    assert result.exit_code == 0, result.output
    assert "904 embeddings of 2 numbers by birds, version 3" in result.output
    assert f"All are listed in {tmp_path / 'shards' / '_rejected'}" in result.output
    files = sorted(path for path in (tmp_path / "shards").rglob("*") if path.is_file())
    assert [str(path.relative_to(tmp_path / "shards")) for path in files] == [
        "_rejected/part-00000-of-00002.parquet",
        "part-00000-of-00002.parquet",
        "part-00001-of-00002.parquet",
    ]
    assert pq.read_table(tmp_path / "shards").equals(pq.read_table(tmp_path / "one.parquet"))

    again = diptych("embed", tables, "--out", tmp_path / "shards", *arguments)
    assert (again.exit_code, "already exists. Remove it" in again.output) == (1, True)
    assert diptych("embed", tables, "--out", tmp_path / "again", *arguments).exit_code == 0
    for file in files:
        other = tmp_path / "again" / file.relative_to(tmp_path / "shards")
        assert other.read_bytes() == file.read_bytes()


def test_unusable_data_is_a_one_line_error_and_writes_nothing(
    diptych, number_model, greys, tmp_path
):
    (tmp_path / "none.csv").write_text("a,b\nx,y\n")
    good = pd.DataFrame({"a": [1.0], "b": [2.0]})
    good.to_parquet(tmp_path / "cut.parquet")
    content = bytearray((tmp_path / "cut.parquet").read_bytes())
    content[4:40] = b"\xff" * 36  # a valid footer, damaged rows
    (tmp_path / "cut.parquet").write_bytes(content)
    before = sorted(path.name for path in tmp_path.iterdir())
    cases = {
        "none.csv": "none.csv has no usable example. Rejected 1: column 'a' is not a",
        "cut.parquet": "cut.parquet is damaged",
        "greys": "No tables",
    }
    for name, message in cases.items():
        for extra in ((), ("--runner", "local")):
            out = ("--out", tmp_path / "out", "--model", number_model)
            result = diptych("embed", tmp_path / name, *out, *extra)
            assert result.exit_code == 1, (name, extra, result.output)
            assert message in result.output
            assert result.output.startswith("Error: ")
            assert len(result.output.splitlines()) == 1
            assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_an_output_path_that_cannot_be_written_is_reported_before_any_work(
    diptych, number_model, birds, tmp_path
):
    for extra in ((), ("--runner", "local")):
        out = ("--out", tmp_path / "none" / "o", "--model", number_model)
        result = diptych("embed", birds, *out, *extra)
        assert result.exit_code == 1
        assert f"{tmp_path / 'none'} does not exist" in result.output
    result = diptych("embed", birds, "--out", tmp_path, "--model", number_model)
    assert "is a folder. Pass a file name such as embeddings.parquet" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--beam-option", "a=1"), "--beam-option requires --runner"),
        (("--runner", "flink"), "runner flink needs options.flink_master"),
        (("--runner", "local", "--beam-option", "speed"), "must be KEY=VALUE, got 'speed'"),
        (("--runner", "local", "--beam-option", "speed=1"), "Beam has no option speed"),
        (
            ("--runner", "flink", "--beam-option", "flink_master=localhost:1"),
            "Cannot reach the Flink cluster at localhost:1",
        ),
    ],
)
def test_wrong_engine_options_are_reported_before_any_work(
    diptych, number_model, birds, tmp_path, arguments, message
):
    result = diptych("embed", birds, "--out", tmp_path / "o", "--model", number_model, *arguments)
    assert result.exit_code in (1, 2)
    assert message in result.output
    assert not (tmp_path / "o").exists()
