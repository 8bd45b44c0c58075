import io
import os
import struct
import zlib

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from diptych.inference import raw_images
from diptych.inference.raw_examples import find_partitions, read_examples
from diptych.schemas.errors import DataError


def write_image(path, brightness=100, size=(6, 4), kind="PNG"):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, brightness).save(path, kind)
    return path


def random_table(rows, seed=0):
    values = np.random.default_rng(seed).normal(size=(rows, 2)).astype(np.float32)
    table = pd.DataFrame(values, columns=["a", "b"])
    table.insert(0, "species", [f"bird {row % 7}" for row in range(rows)])
    return table, values


def read_all(path, manifest):
    batches = list(read_examples(path, manifest))
    sources = [source for batch in batches for source in batch.sources]
    rejected = dict(item for batch in batches for item in batch.rejected)
    labelled = all(batch.labels is not None for batch in batches)
    labels = [label for batch in batches for label in batch.labels] if labelled else None
    return np.concatenate([batch.values for batch in batches]), sources, labels, rejected


def test_images_are_sorted_by_name_and_their_folders_are_labels(tmp_path, image_manifest):
    for name in ("wren/2.png", "wren/10.png", "owl/barn/1.gif", "owl/3.bmp", ".git/1.png"):
        write_image(tmp_path / name, kind=name.rpartition(".")[2].upper())
    (tmp_path / "wren" / ".DS_Store").write_bytes(b"x")
    values, sources, labels, rejected = read_all(tmp_path, image_manifest)
    assert sources == ["owl/3.bmp", "owl/barn/1.gif", "wren/10.png", "wren/2.png"]
    assert labels == ["owl", "owl/barn", "wren", "wren"]
    assert values[3] == (tmp_path / "wren" / "2.png").read_bytes()
    assert rejected == {}


def test_names_of_folders_are_normalized(tmp_path, image_manifest):
    for name in ("Zoe\u0308/1.png", "Zo\u00eb/2.png", "Zo\u00eb /x/2.png"):
        write_image(tmp_path / name)
    *_, labels, _ = read_all(tmp_path, image_manifest)
    assert labels == ["Zo\u00eb", "Zo\u00eb/x", "Zo\u00eb"]


def test_folder_levels_have_the_roles_of_the_training_data(tmp_path, image_manifest):
    for name in ("train/wren/1.png", "test/wren/2.png", "owl/3.png"):
        write_image(tmp_path / name)
    configuration = {"data": {"levels": ["split", "label"]}}
    manifest = image_manifest.model_copy(update={"configuration": configuration})
    _, sources, labels, _ = read_all(tmp_path, manifest)
    assert sources == ["owl/3.png", "test/wren/2.png", "train/wren/1.png"]
    assert labels == ["owl", "wren", "wren"]


def test_images_without_folders_have_no_labels(tmp_path, image_manifest):
    write_image(tmp_path / "1.png")
    *_, labels, _ = read_all(tmp_path, image_manifest)
    assert labels is None
    write_image(tmp_path / "wren" / "1.png")
    _, sources, labels, _ = read_all(tmp_path, image_manifest)
    assert (sources, labels) == (["1.png", "wren/1.png"], ["", "wren"])


def _bomb():
    """A PNG of a few hundred bytes that message it has 400 million pixels."""

    def chunk(name, content):
        checksum = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0))
    rows = chunk(b"IDAT", zlib.compress(bytes(20_000)))
    return b"\x89PNG\r\n\x1a\n" + header + rows + chunk(b"IEND", b"")


def test_unusable_images_are_rejected_with_the_reason(tmp_path, image_manifest):
    good = write_image(tmp_path / "wren" / "good.png").read_bytes()
    faulty = {
        "empty.png": (b"", "empty"),
        "text.jpg": (b"hello", "not an image but text"),
        "cut.png": (good[:-20], "a PNG that cannot be decoded"),
        "large.png": (good + bytes(100_001), "larger than 100000 bytes"),
        "bomb.png": (_bomb(), "more than 100000 pixels"),
        "notes.txt": (b"seen in spring", "not an image but text"),
    }
    for name, (content, _) in faulty.items():
        (tmp_path / "wren" / name).write_bytes(content)
    outside = write_image(tmp_path.parent / f"{tmp_path.name}-outside.png")
    (tmp_path / "wren" / "link.png").symlink_to(outside)
    faulty["link.png"] = (None, "a symbolic link out of the data folder")
    _, sources, _, rejected = read_all(tmp_path, image_manifest)
    assert sources == ["wren/good.png"]
    assert set(rejected) == {f"wren/{name}" for name in faulty}
    for name, (_, reason) in faulty.items():
        assert reason in rejected[f"wren/{name}"]


def test_a_large_file_is_not_read_completely(tmp_path, image_manifest, monkeypatch):
    path = tmp_path / "large.png"
    with path.open("wb") as file:
        file.truncate(50 << 30)  # sparse: uses no disk space
    with pytest.raises(DataError, match="larger than 100000 bytes"):
        list(read_examples(path, image_manifest))


def test_an_unusable_named_image_is_an_error(tmp_path, image_manifest):
    path = write_image(tmp_path / "wren" / "1.png")
    (batch,) = read_examples(path, image_manifest)
    assert (batch.sources, batch.labels, list(batch.values)) == (
        ("1.png",),
        None,
        [path.read_bytes()],
    )
    path.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"wren/1\.png cannot be used: not an image but text"):
        list(read_examples(path, image_manifest))


def test_each_image_is_in_exactly_one_partition_and_batch(tmp_path, image_manifest, monkeypatch):
    monkeypatch.setattr(raw_images, "_PARTITION_FILES", 60)
    monkeypatch.setattr(raw_images, "_BATCH_FILES", 25)
    for number in range(100):
        write_image(tmp_path / f"{number % 3}" / f"{number:03}.png", number)
    (tmp_path / "notes.txt").write_text("seen in spring")
    partitions = find_partitions(tmp_path, image_manifest)
    assert [partition.num_examples for partition in partitions] == [61, 40]
    batches = [batch for partition in partitions for batch in partition.read()]
    assert [len(batch.sources) for batch in batches] == [25, 25, 10, 25, 15]
    read = [source for batch in batches for source in batch.sources]
    assert read == sorted(read)
    assert len(set(read)) == 100
    assert [source for batch in batches for source, _ in batch.rejected] == ["notes.txt"]


@pytest.mark.parametrize("ending", ["csv", "csv.gz", "tsv", "parquet"])
def test_table_rows_are_numbered_like_in_a_spreadsheet_and_labelled(
    tmp_path, number_manifest, ending
):
    table, expected = random_table(10_000)
    path = tmp_path / f"birds.{ending}"
    if ending == "parquet":
        table[["b", "a", "species"]].to_parquet(path, row_group_size=3_000)
    else:
        table.to_csv(path, index=False, sep="\t" if ending == "tsv" else ",")
    values, sources, labels, rejected = read_all(path, number_manifest)
    np.testing.assert_allclose(values, expected, rtol=1e-6)
    assert values.dtype == np.float32
    first = 1 if ending == "parquet" else 2  # the header of a CSV is row 1
    assert sources == [f"{path.name}:{row + first}" for row in range(10_000)]
    assert labels == table["species"].tolist()
    assert rejected == {}
    assert all(len(batch.sources) <= 4096 for batch in read_examples(path, number_manifest))
    for row in (0, 2_999, 3_000, 9_999):
        source = f"{path.name}:{row + first}"
        (one,) = read_examples(tmp_path / source, number_manifest)
        assert (one.sources, one.labels) == ((source,), (f"bird {row % 7}",))
        np.testing.assert_allclose(one.values, expected[[row]], rtol=1e-6)
    for row in (0, 10_000 + first):
        with pytest.raises(DataError, match=rf"has no row {row}\. Rows are numbered from 1"):
            list(read_examples(tmp_path / f"{path.name}:{row}", number_manifest))


def test_invalid_rows_are_rejected_and_the_others_keep_their_numbers(tmp_path, number_manifest):
    lines = ["a,b,species", "1,2,x", "NA,2,x", ",2,x", "1,2,3,4", "5,6,", "1e400,0,x", "7,8,y"]
    (tmp_path / "birds.csv").write_text("\n".join(lines))
    values, sources, labels, rejected = read_all(tmp_path / "birds.csv", number_manifest)
    np.testing.assert_array_equal(values, [[1, 2], [5, 6], [7, 8]])
    assert sources == ["birds.csv:2", "birds.csv:6", "birds.csv:8"]
    assert labels == ["x", "", "y"]
    assert rejected == {
        "birds.csv:3": "column 'a' has no value",
        "birds.csv:4": "column 'a' has no value",
        "birds.csv:5": "row does not have 3 fields",
        "birds.csv:7": "column 'a' is not finite (infinite or too large)",
    }
    with pytest.raises(DataError, match=r"birds\.csv:3 cannot be used: column 'a' has no value"):
        list(read_examples(tmp_path / "birds.csv:3", number_manifest))


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=5),
    group=st.integers(1, 40),
    data=st.data(),
)
def test_a_row_is_selected_by_its_number(tmp_path_factory, number_manifest, sizes, group, data):
    table, expected = random_table(sum(sizes) + 1)
    path = tmp_path_factory.mktemp("rows") / "birds.parquet"
    pq.write_table(pa.Table.from_pandas(table), path, row_group_size=group)
    row = data.draw(st.integers(0, len(table) - 1))
    (one,) = read_examples(path.with_name(f"birds.parquet:{row + 1}"), number_manifest)
    np.testing.assert_array_equal(one.values, expected[[row]])


def test_list_columns_and_ids_are_read(tmp_path, vector_manifest):
    keyed_manifest = vector_manifest.model_copy(update={"configuration": {"data": {"id": "key"}}})
    table = pd.DataFrame({"key": [7, 8], "b": [[1.0, 2.0], [3.0]], "a": [5, 6]})
    table.to_parquet(tmp_path / "birds.parquet")
    (batch,) = read_examples(tmp_path / "birds.parquet", keyed_manifest)
    np.testing.assert_array_equal(batch.values, [[5, 1, 2]])
    assert (batch.ids, batch.labels) == (("7",), None)
    ((source, reason),) = batch.rejected
    assert source == "birds.parquet:2"
    assert "a different number of values" in reason


def test_tables_of_a_folder_are_sorted_by_name(tmp_path, number_manifest):
    for number, name in enumerate(("2.csv", "1.parquet", ".hidden.csv", "_SUCCESS")):
        table, _ = random_table(number + 1)
        write = table.to_parquet if name.endswith("parquet") else table.to_csv
        write(tmp_path / name, index=False)
    _, sources, *_ = read_all(tmp_path, number_manifest)
    assert sources == ["1.parquet:1", "1.parquet:2", "2.csv:2"]


def test_labels_are_omitted_if_one_table_has_none(tmp_path, number_manifest):
    table, _ = random_table(2)
    table.to_csv(tmp_path / "1.csv", index=False)
    table.drop(columns="species").to_csv(tmp_path / "2.csv", index=False)
    assert read_all(tmp_path, number_manifest)[2] is None


def test_an_existing_file_has_priority_over_a_row(tmp_path, number_manifest):
    table, values = random_table(3)
    table.to_csv(tmp_path / "birds.csv", index=False)
    table.iloc[1:].to_csv(tmp_path / "birds.csv:0", index=False)
    np.testing.assert_allclose(
        read_all(tmp_path / "birds.csv:0", number_manifest)[0], values[1:], rtol=1e-6
    )


def test_the_wrong_kind_of_input_is_an_error(tmp_path, image_manifest, number_manifest):
    table, _ = random_table(3)
    table.to_csv(tmp_path / "birds.csv", index=False)
    write_image(tmp_path / "wren" / "1.png")
    for name in ("birds.csv", "birds.csv:2"):
        with pytest.raises(DataError, match=r"table\. The model birds 1 takes images"):
            find_partitions(tmp_path / name, image_manifest)
    with pytest.raises(DataError, match=r"is an image\. .* takes rows of numbers.*\(a, b\)"):
        find_partitions(tmp_path / "wren" / "1.png", number_manifest)
    with pytest.raises(DataError, match=r"No tables \(\.csv.* in .*wren"):
        find_partitions(tmp_path / "wren", number_manifest)
    (tmp_path / "none").mkdir()
    with pytest.raises(DataError, match=r"No images \(PNG"):
        find_partitions(tmp_path / "none", image_manifest)


@pytest.mark.parametrize("name", ["nowhere.csv", "nowhere.csv:3", "x" * 300])
def test_a_missing_path_is_an_error_with_the_expected_inputs(tmp_path, number_manifest, name):
    with pytest.raises(
        DataError, match=r"does not exist\. The model birds 1 takes rows of numbers"
    ):
        find_partitions(tmp_path / name, number_manifest)


def test_a_pipe_is_an_error(tmp_path, number_manifest, image_manifest):
    os.mkfifo(tmp_path / "pipe")
    for manifest in (number_manifest, image_manifest):
        with pytest.raises(DataError, match="is neither a file nor a folder"):
            find_partitions(tmp_path / "pipe", manifest)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ({"a": [1.0]}, "has no column 'b'"),
        ({"a": [1.0], "b": [[1.0, 2.0]]}, None),
        ({"a": [1.0], "b": [3.0]}, r"lists of 2 numbers in the column 'b', got double"),
        ({"a": [1.0], "b": ["[1, 2]"]}, r"lists of 2 numbers in the column 'b', got text"),
        ({"a": [pd.Timestamp(0)], "b": [[1.0, 2.0]]}, r"numbers in the column 'a', got timestamp"),
        ({"a": [1.0], "b": [["x"]]}, r"lists of 2 numbers in the column 'b', got list<"),
    ],
)
def test_columns_that_cannot_hold_the_vector_are_rejected(
    tmp_path, vector_manifest, column, message
):
    pd.DataFrame(column).to_parquet(tmp_path / "birds.parquet")
    if message is None:
        assert len(read_all(tmp_path / "birds.parquet", vector_manifest)[0]) == 1
        return
    with pytest.raises(DataError, match=message):
        find_partitions(tmp_path / "birds.parquet", vector_manifest)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("birds.csv", b""),
        ("birds.parquet", b""),
        ("birds.parquet", b"PAR1 but no more"),
        ("birds.csv", b"\xff\xfe\x00a"),
    ],
)
def test_a_damaged_table_is_an_error(tmp_path, number_manifest, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=r"is empty|cannot be read|has no column"):
        find_partitions(tmp_path / name, number_manifest)


def test_models_of_paired_data_use_the_left_columns(tmp_path, number_manifest):
    left = number_manifest.inputs
    halves = left.model_copy(update={"right_columns": left.columns})
    paired = number_manifest.model_copy(update={"inputs": halves})
    table, values = random_table(2)
    table.to_csv(tmp_path / "birds.csv", index=False)
    np.testing.assert_allclose(read_all(tmp_path / "birds.csv", paired)[0], values, rtol=1e-6)


def test_limits_have_defaults_if_the_manifest_has_none(tmp_path, image_manifest):
    without_limits = image_manifest.model_copy(update={"configuration": {}})
    buffer = io.BytesIO()
    Image.new("L", (400, 300)).save(buffer, "PNG")  # more pixels than the limit of the model
    (tmp_path / "1.png").write_bytes(buffer.getvalue())
    (batch,) = read_examples(tmp_path / "1.png", without_limits)
    assert batch.sources == ("1.png",)
