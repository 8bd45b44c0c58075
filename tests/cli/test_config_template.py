import io

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from PIL import Image

from diptych.cli.config_template import _COMMENTS, write_config
from diptych.components.example_gen.preflight import settle
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import ImageFolder, PairTable, Table, TFRecords
from diptych.schemas.config.loading import load_config
from diptych.schemas.errors import ConfigError, DataError

RANDOM = np.random.default_rng(0)


def init(tmp_path, data):
    out = tmp_path / "CONFIG.yaml"
    text = write_config(data, out)
    assert out.read_text(encoding="utf-8") == text
    loaded = load_config(out)
    if data is not None:
        settle(loaded.data, loaded.split)
    return loaded, text


def picture(height, width, colour=True):
    pixels = RANDOM.integers(0, 256, (height, width, 3), np.uint8)
    if not colour:
        pixels[..., 1:] = pixels[..., :1]
    return Image.fromarray(pixels)


def test_the_template_holds_every_key_with_its_default(tmp_path):
    loaded, text = init(tmp_path, None)
    assert loaded == Config(
        name="my-pairs", data=ImageFolder(kind="images", path=str(tmp_path / "data"))
    )
    for section in Config.model_fields:
        if section not in ("name", "data"):
            assert f"\n{section}:\n" in text
            for key in type(getattr(loaded, section)).model_fields:
                assert f"\n  {key}: " in text


def test_every_key_is_explained_or_left_out_on_purpose():
    for section, field in Config.model_fields.items():
        if section not in ("name", "data"):
            assert set(field.annotation.model_fields) == set(_COMMENTS[section])
    kinds = (ImageFolder, Table, PairTable, TFRecords)
    assert {key for kind in kinds for key in kind.model_fields} == set(_COMMENTS["data"])


def test_an_existing_file_is_left_alone(tmp_path):
    (tmp_path / "CONFIG.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"exists already\. Remove it"):
        write_config(None, tmp_path / "CONFIG.yaml")
    assert (tmp_path / "CONFIG.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("height", "width", "colour", "size"),
    [(51, 41, True, (52, 40)), (9, 300, False, (28, 224)), (28, 28, False, (28, 28))],
)
def test_images_give_their_size_and_channels(tmp_path, height, width, colour, size):
    for name in ("a", "b", "c"):
        (tmp_path / "My Data" / name).mkdir(parents=True)
        for i in range(5):
            path = tmp_path / "My Data" / name / f"{i}.png"
            picture(height, width, colour).save(path)
    loaded, text = init(tmp_path, tmp_path / "My Data")
    assert loaded.name == "my-data"
    assert "path: My Data\n" in text
    assert loaded.data.path == str(tmp_path / "My Data")
    assert (loaded.data.size, loaded.data.channels) == (size, 3 if colour else 1)
    assert (loaded.pairs.classes_per_batch, loaded.pairs.examples_per_class) == (3, 3)


def test_a_table_gives_its_label(tmp_path):
    columns = {
        "a": RANDOM.random(90),
        "note": [f"n{i}" for i in range(90)],
        "Species": ["x", "y", "z"] * 30,
    }
    pyarrow.csv.write_csv(pa.table(columns), tmp_path / "iris.csv")
    loaded, text = init(tmp_path, tmp_path / "iris.csv")
    assert isinstance(loaded.data, Table) and loaded.data.label == "Species"
    assert "CHECK" not in text
    assert loaded.name == "iris"


@pytest.mark.parametrize("version", ["", "/v3"])
def test_folders_named_by_dates_are_spans(tmp_path, version):
    for day in (19, 20):
        folder = tmp_path / f"raw/night-2026-11-{day}{version}"
        folder.mkdir(parents=True)
        columns = {"label": [f"{day}a", f"{day}b"] * 9, "v": RANDOM.random(18)}
        pq.write_table(pa.table(columns), folder / "t.parquet")
    pattern = "raw/night-{YYYY}-{MM}-{DD}" + ("/v{VERSION}" if version else "")
    for given in ("raw", pattern):
        loaded, text = init(tmp_path, tmp_path / given)
        assert loaded.data.path == str(tmp_path / pattern)
        assert loaded.data.window is None
        assert "# 2 spans, see window; looked at is the newest, 2026-11-20." in text
        assert "CHECK" not in text
        (tmp_path / "CONFIG.yaml").unlink()


def test_the_only_column_of_few_words_is_the_label(tmp_path):
    columns = {
        "kind_of": ["x", "y"] * 30,
        "name": [f"n{i}" for i in range(60)],
        "v": RANDOM.random(60),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    loaded, _ = init(tmp_path, tmp_path)
    assert loaded.data.label == "kind_of"


def test_a_guess_says_so(tmp_path):
    columns = {"v": RANDOM.random(60), "w": np.arange(60) % 5, "z": np.arange(60) % 4}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    loaded, text = init(tmp_path, tmp_path / "*.parquet")
    assert loaded.data.label == "z"
    assert "# CHECK: the label column 'z' is a guess." in text


def test_a_list_column_and_a_key_are_seen(tmp_path):
    vectors = list(RANDOM.random((20, 3)))
    columns = {"id": np.arange(20), "class": [0, 1] * 10, "weight": RANDOM.random(20), "e": vectors}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    loaded, _ = init(tmp_path, tmp_path / "t.parquet")
    assert (loaded.data.columns, loaded.data.id) == ("e", "id")
    assert loaded.pairs.classes_per_batch == 2


@pytest.mark.parametrize(
    ("names", "same", "values", "left", "right", "same_value"),
    [
        (["left_a", "left_b", "right_a", "right_b"], "same", [0, 1], "left_*", "right_*", 1),
        (["a_x", "a_y", "b_x", "b_y"], "match", [True, False], "a_*", "b_*", 1),
        (
            ["x_left", "y_left", "y_right", "x_right"],
            "label",
            [0, 1],
            ["x_left", "y_left"],
            None,
            1,
        ),
        (["left_a", "right_a"], "same", ["Yes", "No"], "left_*", "right_*", "Yes"),
        ([f"v{i}" for i in range(400)], "class", [0, 1], 200, 200, 1),
    ],
)
def test_paired_tables_are_recognised(tmp_path, names, same, values, left, right, same_value):
    columns = {name: RANDOM.random(10) for name in names}
    pq.write_table(pa.table({**columns, same: values * 5}), tmp_path / "t.parquet")
    loaded, text = init(tmp_path, tmp_path / "t.parquet")
    assert isinstance(loaded.data, PairTable)
    right = ["x_right", "y_right"] if right is None else right
    assert (loaded.data.same, loaded.data.left, loaded.data.right) == (same, left, right)
    assert loaded.data.same_value == same_value
    assert ("CHECK" in text) == (same == "class")


def test_a_two_class_table_is_not_taken_for_pairs(tmp_path):
    columns = {"radius": RANDOM.random(10), "area": RANDOM.random(10), "class": [0, 1] * 5}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    assert isinstance(init(tmp_path, tmp_path / "t.parquet")[0].data, Table)


@pytest.mark.parametrize("kind", ["image", "vector"])
def test_the_features_of_tfrecords_are_seen(tmp_path, kind):
    import tensorflow as tf

    path = tmp_path / "data.tfrecord"
    with tf.io.TFRecordWriter(str(path)) as writer:
        for i in range(8):
            example = tf.train.Example()
            buffer = io.BytesIO()
            picture(4, 4).save(buffer, "PNG")
            if kind == "image":
                example.features.feature["raw"].bytes_list.value.append(buffer.getvalue())
            else:
                example.features.feature["raw"].float_list.value.extend([1.0, 2.0])
            example.features.feature["target"].int64_list.value.append(i % 2)
            example.features.feature["name"].bytes_list.value.append(b"n%d" % i)
            writer.write(example.SerializeToString())
    loaded, _ = init(tmp_path, path)
    assert isinstance(loaded.data, TFRecords)
    assert loaded.data.label == "target"
    assert getattr(loaded.data, kind) == "raw"


def test_data_of_no_known_kind_are_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="does not exist"):
        write_config(tmp_path / "none", tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="Nothing in"):
        write_config(tmp_path / "empty", tmp_path / "c.yaml")
    (tmp_path / "empty" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match="No images"):
        write_config(tmp_path / "empty", tmp_path / "c.yaml")
    assert not (tmp_path / "c.yaml").exists()
