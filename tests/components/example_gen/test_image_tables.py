import io
import json
import os
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.feather as pf
import pyarrow.parquet as pq
import pytest
from PIL import Image

from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.span_files import find_files
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import ImageFolder, PairTable
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import ConfigError, DataError
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.rejected_rows import SUMMARY_FILE
from diptych.schemas.shards import SPLITS


def encoded_image(number):
    buffer = io.BytesIO()
    pixels = np.random.default_rng(number).integers(0, 256, (6, 5), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def folder(tmp_path):
    """A folder with 40 images in one subfolder."""
    images = tmp_path / "data" / "images"
    images.mkdir(parents=True)
    for number in range(40):
        (images / f"{number:02}.png").write_bytes(encoded_image(number))
    return tmp_path / "data"


def image_list(folder, table="labels.csv", **options):
    options = {"label": "letter", **options}
    return ImageFolder(kind="images", path=str(folder), table=str(folder / table), **options)


def image_pairs(folder, table="pairs.csv", **options):
    options = {"same": "same", "left": "left", "right": "right", **options}
    return PairTable(kind="pairs", path=str(folder / table), **options)


def write_list(folder, name="labels.csv", paths=None, **more):
    paths = [f"images/{i:02}.png" for i in range(40)] if paths is None else paths
    columns = {"file": paths, "letter": [f"c{i % 4 * (i < 40)}" for i in range(len(paths))]}
    columns |= more
    table = pa.table(columns)
    if name.endswith(".parquet"):
        pq.write_table(table, folder / name, row_group_size=7)
    else:
        pyarrow.csv.write_csv(table, folder / name)
    return table


def write_pairs(folder, name="pairs.csv", count=60, **columns):
    left = [i % 20 for i in range(count)]
    right = [20 + (i + i // 20) % 20 for i in range(count)]  # no pair occurs twice
    columns = {
        "left": [f"images/{i:02}.png" for i in left],
        "right": [f"images/{i:02}.png" for i in right],
        "same": [i % 2 for i in range(count)],
        **columns,
    }
    pyarrow.csv.write_csv(pa.table(columns), folder / name)
    return columns


def by_source(run):
    return {example["source"].decode(): example for example in run.all_examples()}


@pytest.mark.parametrize("name", ["labels.csv", "labels.parquet"])
def test_images_listed_in_a_table_become_examples(folder, ingest, name):
    write_list(folder, name)
    examples = by_source(ingest(image_list(folder, name, max_rejected=0)))
    first = 1 if name.endswith("parquet") else 2
    assert examples.keys() == {f"{name}:{row}" for row in range(first, first + 40)}
    for row in range(40):
        example = examples[f"{name}:{row + first}"]
        assert example["image"] == encoded_image(row)
        assert example["label"].decode() == f"c{row % 4}"
        assert sorted(example) == ["id", "image", "label", "source"]


def test_equal_images_have_equal_ids_in_folders_and_lists(folder, ingest):
    write_list(folder)
    listed = ingest(image_list(folder))
    for number in range(40):
        path = folder / "classes" / f"c{number % 4}" / f"{number:02}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded_image(number))
    in_folders = ingest(ImageFolder(kind="images", path=str(folder / "classes")))
    for split in SPLITS:
        assert [(e["id"], e["label"]) for e in listed.split(split)] == [
            (e["id"], e["label"]) for e in in_folders.split(split)
        ]


def test_group_split_and_id_columns_are_used(folder, ingest):
    groups = [f"writer{i % 8}" for i in range(40)]
    parts = ["test" if i % 4 == 0 else "train" for i in range(40)]
    write_list(folder, writer=groups, part=parts, key=list(range(40)))
    data = image_list(folder, group="writer", split="part", id="key", image="file")
    run = ingest(data, SplitConfig(by="given"))
    rows = {
        name: {int(example["source"].decode().partition(":")[2]) - 2 for example in run.split(name)}
        for name in SPLITS
    }
    assert rows["test"] == {row for row in range(40) if row % 4 == 0}
    training, calibration = ({groups[row] for row in rows[name]} for name in SPLITS[:2])
    assert training and calibration and not training & calibration
    by_group = ingest(data, SplitConfig(by="group", seed=3))
    found = [
        {groups[int(e["source"].decode().partition(":")[2]) - 2] for e in by_group.split(name)}
        for name in SPLITS
    ]
    assert sum(map(len, found)) == 8


def test_unusable_rows_are_rejected_with_a_reason(folder, ingest, tmp_path):
    (tmp_path / "secret.png").write_bytes(encoded_image(99))
    (folder / "images" / "link.png").symlink_to(tmp_path / "secret.png")
    (folder / "images" / "text.png").write_text("not an image")
    (folder / "images" / "sub").mkdir()
    good = [f"images/{i:02}.png" for i in range(40)]
    bad = {
        "images/missing.png": "column 'file': image file does not exist",
        "../secret.png": "column 'file': path leaves the folder of the images",
        str(tmp_path / "secret.png"): "column 'file': path leaves the folder of the images",
        "images/link.png": "column 'file': path leaves the folder of the images",
        "images/text.png": "not ",
        "images/sub": "column 'file': not a regular file",
        "https://host/x.png": "column 'file': a URL instead of a path",
        "": "column 'file' has no value",
        "images/": "column 'file': image file does not exist",
    }
    write_list(folder, paths=[*good, *bad])
    run = ingest(image_list(folder, max_rejected=0.5))
    assert len(run.all_examples()) == 40
    reasons = run.reasons()
    assert len(reasons) == len(bad)
    for row, reason in enumerate(bad.values(), 42):
        assert reasons[f"labels.csv:{row}"].startswith(reason), reasons
    allowed = ingest(image_list(folder, max_rejected=0.5, follow_links=str(tmp_path)))
    assert len(allowed.all_examples()) == 43


def test_paths_may_be_absolute_relative_to_the_table_or_have_backslashes(folder, ingest):
    (folder / "lists").mkdir()
    forms = [
        str(folder / "images" / "00.png"),
        "../images/01.png",
        "images\\02.png",
        "images/../images/03.png",
        "./images/04.png",
        " images/05.png ",
        *(f"images/{i:02}.png" for i in range(6, 40)),
    ]
    write_list(folder / "lists", paths=forms)
    run = ingest(image_list(folder, "lists/labels.csv", max_rejected=0))
    assert sorted(e["image"] for e in run.all_examples()) == sorted(map(encoded_image, range(40)))


def test_work_items_cover_each_row_once(folder, ingest, monkeypatch):
    monkeypatch.setattr("diptych.components.example_gen.image_tables._ITEM_ROWS", 7)
    monkeypatch.setattr("diptych.components.example_gen.image_tables._BATCH_ROWS", 3)
    paths = [f"images/{i:02}.png" for i in range(40)]
    lines = ["file,letter", *(f"{path},c{i % 4}" for i, path in enumerate(paths))]
    lines[20:20] = ["too,many,fields"]
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    run = ingest(image_list(folder, max_rejected=0.1))
    rows = sorted(int(source.partition(":")[2]) for source in by_source(run))
    assert rows == [row for row in range(2, 43) if row != 21]
    assert run.reasons() == {"labels.csv:21": "row does not have 2 fields"}


def test_unused_columns_and_similar_labels_of_a_list_are_reported(folder, ingest):
    letters = ["Ann" if i == 3 else ("ann", "ben")[i % 2] for i in range(40)]
    write_list(folder, letter=letters, remark=["x"] * 40)
    run = ingest(image_list(folder))
    counts = json.loads(Path(run.rejected.uri, SUMMARY_FILE).read_text())["spans"][""]
    assert counts["ignored"] == {"text column": {"count": 1, "source": "remark"}}
    (finding,) = counts["findings"]
    assert "'Ann'" in finding and "'ann'" in finding


@pytest.mark.parametrize("form", ["bytes", "struct", "struct_of_paths", "view"])
def test_images_in_the_cells_of_parquet_become_examples(folder, ingest, form):
    images = [encoded_image(i) for i in range(40)]
    if form == "struct":
        images = [{"bytes": image, "path": f"{i}.png"} for i, image in enumerate(images)]
    elif form == "struct_of_paths":
        images = pa.array(
            [{"bytes": None, "path": f"images/{i:02}.png"} for i in range(40)],
            pa.struct({"bytes": pa.binary(), "path": pa.string()}),
        )
    elif form == "view":
        images = pa.array(images, pa.binary_view())
    table = pa.table({"image": images, "letter": [f"c{i % 4}" for i in range(40)]})
    if form == "view":  # Parquet has no such type, and the content decides
        pf.write_feather(table, folder / "t.parquet")
    else:
        pq.write_table(table, folder / "t.parquet", row_group_size=9)
    data = image_list(folder, "t.parquet", max_rejected=0)
    assert infer_input_spec(data, SplitConfig()).kind == "image"
    examples = by_source(ingest(data))
    for row in range(40):
        assert examples[f"t.parquet:{row + 1}"]["image"] == encoded_image(row)


def test_pairs_of_images_become_examples(folder, ingest):
    columns = write_pairs(folder)
    data = image_pairs(folder, max_rejected=0)
    inputs = infer_input_spec(data, SplitConfig())
    assert inputs == InputSpec(kind="image", size=(28, 28), channels=3, image_pairs=True)
    assert inputs.paired
    run = ingest(data)
    examples = by_source(run)
    assert len(examples) == 60
    for row in range(60):
        example = examples[f"pairs.csv:{row + 2}"]
        left, right = (int(columns[side][row][7:9]) for side in ("left", "right"))
        assert example["image"] == encoded_image(left)
        assert example["right_image"] == encoded_image(right)
        assert example["same"] == row % 2
    sides = {}
    for example in examples.values():
        sides.setdefault(example["left_id"], set()).add(example["image"])
        sides.setdefault(example["right_id"], set()).add(example["right_image"])
    assert all(len(images) == 1 for images in sides.values())


def test_pairs_of_encoded_images_in_parquet_become_examples(folder, ingest):
    columns = {
        "left": [{"bytes": encoded_image(i), "path": None} for i in range(30)],
        "right": [{"bytes": encoded_image(i + 30), "path": None} for i in range(30)],
        "same": [i % 3 == 0 for i in range(30)],
    }
    pq.write_table(pa.table(columns), folder / "pairs.parquet")
    run = ingest(image_pairs(folder, "pairs.parquet", same_value=True, max_rejected=0))
    examples = by_source(run)
    assert len(examples) == 30
    assert examples["pairs.parquet:4"]["right_image"] == encoded_image(33)
    assert examples["pairs.parquet:4"]["same"] == 1


def test_a_pair_with_a_missing_or_the_same_image_is_rejected(folder, ingest):
    columns = write_pairs(folder)
    columns["left"][3], columns["right"][4] = "images/none.png", "nothing.png"
    columns["left"][5] = columns["right"][5]
    columns["left"][6], columns["right"][6] = "images/none.png", "nothing.png"
    write_pairs(folder, **columns)
    run = ingest(image_pairs(folder, max_rejected=0.2))
    assert run.reasons() == {
        "pairs.csv:5": "column 'left': image file does not exist",
        "pairs.csv:6": "column 'right': image file does not exist",
        "pairs.csv:7": "left and right are identical",
        "pairs.csv:8": "column 'left': image file does not exist",
    }
    for row, example in ((2, 0), (9, 7)):
        found = by_source(run)[f"pairs.csv:{row}"]
        assert found["image"] == encoded_image(int(columns["left"][example][7:9]))
        assert found["right_image"] == encoded_image(int(columns["right"][example][7:9]))


def test_paths_of_pairs_start_in_the_folder_of_images(folder, ingest, tmp_path):
    write_pairs(folder)
    (tmp_path / "lists").mkdir()
    (folder / "pairs.csv").rename(tmp_path / "lists" / "pairs.csv")
    with pytest.raises(DataError, match=r"None of the .* data.images"):
        infer_input_spec(image_pairs(tmp_path / "lists"), SplitConfig())
    run = ingest(image_pairs(tmp_path / "lists", images=str(folder), max_rejected=0))
    assert len(run.all_examples()) == 60


def test_the_fingerprint_changes_with_a_listed_image_and_with_the_table(folder):
    write_list(folder)
    write_pairs(folder)
    for data in (image_list(folder), image_pairs(folder)):
        before = find_files(data).fingerprint
        assert find_files(data).fingerprint == before
        os.utime(folder / "images" / "01.png", (1, 1))
        touched = find_files(data).fingerprint
        assert touched != before
        (folder / "images" / "01.png").rename(folder / "images" / "renamed.png")
        assert find_files(data).fingerprint not in (touched, before)
        (folder / "images" / "renamed.png").rename(folder / "images" / "01.png")
        os.utime(folder / "images" / "01.png", (7, 7))


@pytest.mark.parametrize(
    ("options", "columns", "error", "match"),
    [
        ({"label": "none"}, {}, ConfigError, "data.label: the data have no column 'none'"),
        ({"image": "none"}, {}, ConfigError, "data.image: the data have no column 'none'"),
        ({"image": "letter"}, {}, ConfigError, "already data.label"),
        ({"image": "x"}, {"x": list(range(40))}, DataError, "None of the 40 images in 'x'.*'0'"),
        ({"group": "nope"}, {}, ConfigError, "data.group"),
    ],
)
def test_invalid_columns_of_a_list_raise_an_error(folder, options, columns, error, match):
    write_list(folder, **columns)
    with pytest.raises(error, match=match):
        infer_input_spec(image_list(folder, **options), SplitConfig())


def test_a_list_without_a_column_of_images_raises_an_error(folder):
    pyarrow.csv.write_csv(pa.table({"where": ["a", "b"], "letter": ["x", "y"]}), folder / "l.csv")
    with pytest.raises(ConfigError, match=r"data.image: no column is named like 'image'.*'where'"):
        infer_input_spec(image_list(folder, "l.csv"), SplitConfig())
    with pytest.raises(ConfigError, match=r"data.table does not exist"):
        infer_input_spec(image_list(folder, "none.csv"), SplitConfig())
    write_list(folder, "one.csv", paths=["images/01.png"])
    with pytest.raises(DataError, match="at least 2 classes"):
        infer_input_spec(image_list(folder, "one.csv"), SplitConfig())


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ({"image": "x"}, "image names a column of a table, but table is not set"),
        ({"group": "x"}, "set data.table, give a folder level the role group in data.levels, or"),
        ({"table": "t.csv"}, "table needs label"),
        ({"table": "t.csv", "label": "x", "levels": ["label"]}, "levels and table exclude"),
        ({"path": "d/{SPAN}", "table": "t.csv", "label": "x"}, "cannot be combined with spans"),
    ],
)
def test_contradicting_keys_of_a_list_are_refused(data, match):
    with pytest.raises(ValueError, match=match):
        Config.model_validate({"name": "x", "data": {"kind": "images", "path": "d", **data}})
