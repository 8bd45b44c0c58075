import io
import itertools
import json
import re

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pydantic
import pytest
import yaml
from click.testing import CliRunner
from PIL import Image

from diptych.cli.config_template import key_comment, write_config_template
from diptych.cli.init import init_command
from diptych.cli.run import run_command
from diptych.cli.schema import schema_command
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import ImageFolder, PairTable, Table, TFRecords
from diptych.schemas.config.json_schema import SCHEMA_FILE, config_schema
from diptych.schemas.config.loading import load_config
from diptych.schemas.errors import ConfigError, DataError

RANDOM = np.random.default_rng(0)


def init(tmp_path, data):
    """Write a configuration, and load it with all guesses accepted."""
    out = tmp_path / "CONFIG.yaml"
    guesses = guesses_of(write_config_template(data, out))
    text = out.read_text(encoding="utf-8")
    assert bool(guesses) == ("# CHECK" in text)
    if guesses:
        with pytest.raises(ConfigError, match=r"not decided yet:\n  line \d+: CHECK"):
            load_config(out)
        out.write_text(text.replace("# CHECK", "# "), encoding="utf-8")
    loaded = load_config(out)
    if data is not None:
        infer_input_spec(loaded.data, loaded.split)
    out.write_text(text, encoding="utf-8")
    return loaded, text


def guesses_of(notes):
    return [note for note in notes if note.startswith("CHECK")]


def unwrap(text):
    return " ".join(text.replace("#", "").split())


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
                assert re.search(rf"\n  {key}:[ \n]", text)


def test_the_comments_are_the_descriptions_of_the_keys(tmp_path):
    loaded, text = init(tmp_path, None)
    comments = " ".join(line.partition("#")[2].strip() for line in text.splitlines())
    comments = " ".join(comments.split())

    def check(model):
        for key, field in type(model).model_fields.items():
            value = getattr(model, key)
            if isinstance(value, pydantic.BaseModel) and "name" not in type(value).model_fields:
                check(value)
            assert key_comment(field.description) in comments, key

    for section in Config.model_fields:
        if section != "name":
            check(getattr(loaded, section))


def test_lines_are_at_most_100_characters_long(tmp_path):
    _, text = init(tmp_path, None)
    assert max(len(line) for line in text.splitlines()) <= 100


@pytest.mark.parametrize(
    ("description", "comment"),
    [
        ("Short. More of it. null: none.", "Short. More of it. null: none."),
        (
            f"First, such as {'x' * 99}. `Second` one. null: none.",
            f"First, such as {'x' * 99}. null: none.",
        ),
        ("A `key`, such as .h5 or 0.5.", "A key, such as .h5 or 0.5."),
        (f"Such as 0.5 or .h5 {'x' * 99}.", f"Such as 0.5 or .h5 {'x' * 99}."),
    ],
)
def test_a_long_description_is_shortened_to_one_sentence_and_null(description, comment):
    assert key_comment(description) == comment


def test_the_json_schema_is_written_next_to_the_configuration(tmp_path):
    _, text = init(tmp_path, None)
    assert text.startswith(f"# yaml-language-server: $schema={SCHEMA_FILE}\n")
    assert json.loads((tmp_path / SCHEMA_FILE).read_text()) == config_schema()
    # A second configuration in the folder, and the schema of another version.
    for content in (None, json.dumps({"title": "Diptych configuration"})):
        (tmp_path / "CONFIG.yaml").unlink()
        if content is not None:
            (tmp_path / SCHEMA_FILE).write_text(content)
        init(tmp_path, None)
        assert json.loads((tmp_path / SCHEMA_FILE).read_text()) == config_schema()


@pytest.mark.parametrize("content", ["{}", "mine", '["x"]'])
def test_a_schema_file_of_another_program_is_not_overwritten(tmp_path, content):
    (tmp_path / SCHEMA_FILE).write_text(content)
    with pytest.raises(ConfigError, match="is not a schema of Diptych"):
        write_config_template(None, tmp_path / "CONFIG.yaml")
    assert (tmp_path / SCHEMA_FILE).read_text() == content
    assert not (tmp_path / "CONFIG.yaml").exists()


def test_the_schema_command_prints_or_writes_the_schema(tmp_path):
    runner = CliRunner()
    assert json.loads(runner.invoke(schema_command, []).stdout) == config_schema()
    out = tmp_path / "new" / "schema.json"
    assert runner.invoke(schema_command, ["--out", str(out)]).exit_code == 0
    assert json.loads(out.read_text()) == config_schema()
    failed = runner.invoke(schema_command, ["--out", str(out / "x")])
    assert failed.exit_code == 1
    assert "Cannot write" in failed.output


def test_an_existing_file_is_not_overwritten(tmp_path):
    (tmp_path / "CONFIG.yaml").write_text("mine")
    with pytest.raises(ConfigError, match=r"already exists\. Remove it"):
        write_config_template(None, tmp_path / "CONFIG.yaml")
    assert (tmp_path / "CONFIG.yaml").read_text() == "mine"


@pytest.mark.parametrize(
    ("height", "width", "colour", "size"),
    [(51, 41, True, (52, 40)), (9, 300, False, (28, 224)), (28, 28, False, (28, 28))],
)
def test_size_and_channels_are_inferred_from_images(tmp_path, height, width, colour, size):
    for name in ("a", "b", "c"):
        (tmp_path / "My Data" / name).mkdir(parents=True)
        for i in range(5):
            path = tmp_path / "My Data" / name / f"{i}.png"
            picture(height, width, colour).save(path)
    loaded, text = init(tmp_path, tmp_path / "My Data")
    assert loaded.name == "my-data"
    assert re.search(r"path: My Data +#", text)
    assert loaded.data.path == str(tmp_path / "My Data")
    assert (loaded.data.size, loaded.data.channels) == (size, 3 if colour else 1)
    assert (loaded.pairs.classes_per_batch, loaded.pairs.examples_per_class) == (3, 3)


def test_the_label_column_of_a_table_is_recognised(tmp_path):
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
        assert "# 2 spans, see window; the profile is of the newest, 2026-11-20." in text
        assert "CHECK" not in text
        (tmp_path / "CONFIG.yaml").unlink()


def test_the_only_column_with_few_distinct_texts_is_the_label(tmp_path):
    columns = {
        "kind_of": ["x", "y"] * 30,
        "name": [f"n{i}" for i in range(60)],
        "v": RANDOM.random(60),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    loaded, _ = init(tmp_path, tmp_path)
    assert loaded.data.label == "kind_of"


def test_a_guessed_label_has_a_check_note(tmp_path):
    columns = {"v": RANDOM.random(60), "w": np.arange(60) % 5, "z": np.arange(60) % 4}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    loaded, text = init(tmp_path, tmp_path / "*.parquet")
    assert loaded.data.label == "z"
    assert "# CHECK: the label column 'z' is a guess." in text


def test_a_list_column_and_an_id_column_are_recognised(tmp_path):
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
        (["Left_a", "Left_b", "Right_a", "Right_b"], "Same", [0, 1], "Left_*", "Right_*", 1),
        (["leftA", "leftB", "rightA", "rightB"], "same", [0, 1], ["leftA", "leftB"], None, 1),
        (["left_a", "right_a"], "same_person", [0, 1], "left_*", "right_*", 1),
        ([f"v{i}" for i in range(400)], "is_same", [0, 1], 200, 200, 1),
    ],
)
def test_paired_tables_are_recognised(tmp_path, names, same, values, left, right, same_value):
    columns = {name: RANDOM.random(10) for name in names}
    pq.write_table(pa.table({**columns, same: values * 5}), tmp_path / "t.parquet")
    loaded, text = init(tmp_path, tmp_path / "t.parquet")
    assert isinstance(loaded.data, PairTable)
    right = [name.replace("left", "right") for name in left] if right is None else right
    assert (loaded.data.same, loaded.data.left, loaded.data.right) == (same, left, right)
    assert loaded.data.same_value == same_value
    assert ("CHECK" in text) == (same in ("label", "is_same", "same_person"))


@pytest.mark.parametrize("decimal", [".", ","])
def test_pairs_that_share_examples_are_split_by_connected_pairs(tmp_path, decimal):
    items = RANDOM.normal(size=(20, 3)).round(4)
    rows = [(a, b) for a in range(0, 20, 2) for b in (a + 1, (a + 3) % 20)]

    def write(folder, pairs):
        lines = ["left_x;left_y;left_z;right_x;right_y;right_z;same"]
        for number, sides in enumerate(pairs):
            numbers = [f"{value}".replace(".", decimal) for value in np.concatenate(sides)]
            lines.append(";".join([*numbers, str(number % 2)]))
        folder.mkdir()
        (folder / "t.csv").write_text("\n".join(lines) + "\n")
        return init(folder, folder / "t.csv")

    loaded, text = write(tmp_path / "connected", [(items[a], items[b]) for a, b in rows])
    assert loaded.split.by == "connected"
    comment = unwrap(text)
    assert "CHECK: Examples in several pairs: 20" in comment
    assert "the largest has 20 of 20 pairs (100%)" in comment
    # The same pairs again and mirrored, but no example with two others.
    disjoint = [(items[a], items[a + 1]) for a in range(0, 20, 2)]
    loaded, _ = write(tmp_path / "disjoint", [*disjoint, *disjoint, *((b, a) for a, b in disjoint)])
    assert loaded.split.by == "example"


@pytest.mark.parametrize(
    "names",
    [
        ["radius", "area"],
        ["w", "x", "y", "z"],
        [f"v{i}" for i in range(400)],
        ["a_x", "a_y", "b_x", "b_y"],
        ["x1", "x2", "x3", "x4"],
    ],
)
@pytest.mark.parametrize("values", [[0, 1], ["yes", "no"]])
def test_a_table_with_two_classes_is_not_recognised_as_pairs(tmp_path, names, values):
    columns = {name: RANDOM.random(10) for name in names} | {"class": values * 5}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    loaded, text = init(tmp_path, tmp_path / "t.parquet")
    assert isinstance(loaded.data, Table) and loaded.data.label == "class"
    assert "CHECK" not in text


def write_images(root, folders, count=10):
    for number, folder in enumerate(folders):
        (root / folder).mkdir(parents=True)
        for i in range(count):
            picture(28, 28, colour=False).save(root / folder / f"{number}_{i}.png")
    return root


def folders_of(*levels):
    return ["/".join(path) for path in itertools.product(*levels)]


@pytest.mark.parametrize(
    ("folders", "levels", "by", "is_certain"),
    [
        (folders_of("ABC"), None, "example", True),
        (folders_of(["train", "val", "test"], "ABC"), ["split", "label"], "given", True),
        (folders_of(["TRAIN", "Validation"], "ABC"), ["split", "label"], "given", True),
        (folders_of("ABC", ["Training", "EVAL"]), ["label", "split"], "given", True),
        (folders_of(["training_set", "test_set"], "ABC"), ["split", "label"], "given", True),
        (folders_of(["train", "test", "x"], "ABC"), ["split", "label"], "given", False),
        (folders_of("ABC", ["session1", "session2"]), ["label", "group"], "example", True),
        (folders_of("ABC", ["SESSION_1", "Session-2"]), ["label", "group"], "example", True),
        (
            folders_of(["birds", "cats"], "xy", ["session1", "session2"]),
            ["label", "label", "group"],
            "example",
            False,
        ),
        (folders_of("ABC", ["cam2", "cam3"]), ["label", "group"], "example", True),
        (folders_of("ABC", ["front", "back"]), ["label", "group"], "example", True),
        (folders_of(["day1", "day2"], "ABC"), ["group", "label"], "example", True),
        (folders_of("ABC", "xy"), ["label", "group"], "example", False),
        (folders_of(["writer1", "writer2"], "ABC"), ["group", "label"], "example", False),
        (
            folders_of(["Greek", "Latin"], ["character01", "character02"]),
            ["label", "label"],
            "example",
            True,
        ),
        (["Greek/alpha", "Greek/beta", "Latin/a", "Latin/b"], None, "example", True),
        (folders_of(["images"], "ABC"), ["ignore", "label"], "example", True),
        (folders_of("ABC", ["images"]), ["label", "ignore"], "example", True),
        (
            folders_of(["train", "test"], "AB", ["session1", "session2"]),
            ["split", "label", "group"],
            "given",
            True,
        ),
        (
            folders_of(["data"], ["train", "dev", "test"], "AB"),
            ["ignore", "split", "label"],
            "given",
            True,
        ),
        (["train", "test"], ["label"], "example", False),
        (["A", "B", "C", "A/old"], ["label"], "example", False),
    ],
)
def test_common_layouts_of_folders_are_recognised(tmp_path, folders, levels, by, is_certain):
    notes = write_config_template(
        write_images(tmp_path / "data", folders), tmp_path / "CONFIG.yaml"
    )
    written = yaml.safe_load((tmp_path / "CONFIG.yaml").read_text())
    assert written["data"]["levels"] == levels
    assert written["split"]["by"] == by
    assert bool(guesses_of(notes)) != is_certain, notes


def test_class_folders_take_precedence_over_stray_files(tmp_path):
    root = write_images(tmp_path / "data", "ABC")
    (root / "README.md").write_text("Where these came from.\n")
    (root / "labels.csv").write_text("letter,name\nA,x\nB,x\n")
    loaded, text = init(tmp_path, root)
    assert isinstance(loaded.data, ImageFolder)
    assert "2 files" in text and "'README.md'" in text


def test_many_classes_with_two_examples_are_split_by_class(tmp_path):
    root = write_images(tmp_path / "data", [f"c{i}" for i in range(40)], 2)
    loaded, text = init(tmp_path, root)
    assert loaded.split.by == "class"
    assert loaded.pairs.examples_per_class == 2
    assert "the model is evaluated on unseen classes" in unwrap(text)


def test_the_command_prints_what_it_recognised(tmp_path):
    root = write_images(tmp_path / "data", "AB", 3)
    (root / "A/extra.png").write_bytes((root / "A/0_0.png").read_bytes())
    (root / "README.txt").write_text("Where these came from.\n")
    result = CliRunner().invoke(
        init_command, ["--data", str(root), str(tmp_path / "CONFIG.yaml")], catch_exceptions=False
    )
    assert result.stdout.splitlines() == [
        "7 images of 28 x 28 pixels (in a sample of 7).",
        "1 file ignored, such as 'README.txt': not an image but text.",
        "2 classes with 3 to 4 examples, median 4.",
        f"Wrote {tmp_path / 'CONFIG.yaml'}. Check its section data, then run: "
        f"diptych run {tmp_path / 'CONFIG.yaml'}",
    ]


def test_the_command_prints_each_guess_and_a_run_stops_at_it(tmp_path):
    root = write_images(tmp_path / "data", folders_of("ABC", "xy"))
    out = tmp_path / "CONFIG.yaml"
    result = CliRunner().invoke(init_command, ["--data", str(root), str(out)])
    assert result.exit_code == 0
    assert "CHECK: A/x may be one class" in result.stdout
    assert "Decide the lines that start with # CHECK" in result.stdout
    number = next(
        number for number, line in enumerate(out.read_text().splitlines(), 1) if "# CHECK" in line
    )
    for options in (["--dry-run"], ["--nightly"], []):
        failed = CliRunner().invoke(run_command, [str(out), *options])
        assert failed.exit_code == 1
        # The note is complete, although it has several lines in the file.
        assert f"line {number}: CHECK: A/x may be" in failed.output
        assert "assumes a class 'A' with the group 'x'." in failed.output


@pytest.mark.parametrize("kind", ["image", "vector"])
def test_the_features_of_tfrecords_are_recognised(tmp_path, kind):
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


def test_unknown_data_raise_an_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match=r"does not exist: .*none\. Check the path"):
        write_config_template(tmp_path / "none", tmp_path / "c.yaml")
    with pytest.raises(ConfigError, match="is empty"):
        write_config_template(tmp_path / "empty", tmp_path / "c.yaml")
    (tmp_path / "empty" / "notes.txt").write_text("x")
    with pytest.raises(DataError, match=r"No images.*or list their labels in a table"):
        write_config_template(tmp_path / "empty", tmp_path / "c.yaml")
    assert not (tmp_path / "c.yaml").exists()


def write_listed_images(folder, count=24):
    (folder / "pictures").mkdir(parents=True)
    for i in range(count):
        picture(36, 28, colour=False).save(folder / "pictures" / f"{i:02}.png")
    return [f"pictures/{i:02}.png" for i in range(count)]


@pytest.mark.parametrize("column", ["file", "Photo", "where", "image_path"])
@pytest.mark.parametrize("as_folder", [True, False])
def test_a_list_of_images_is_recognised_by_its_cells(tmp_path, column, as_folder):
    paths = write_listed_images(tmp_path / "data")
    columns = {
        column: paths,
        "letter": ["A", "B", "C"] * 8,
        "writer": [f"w{i % 5}" for i in range(24)],
        "part": ["train", "train", "val", "test"] * 6,
        "width": RANDOM.random(24),
    }
    pyarrow.csv.write_csv(pa.table(columns), tmp_path / "data" / "list.csv")
    loaded, text = init(tmp_path, tmp_path / "data" if as_folder else tmp_path / "data/list.csv")
    assert isinstance(loaded.data, ImageFolder)
    assert loaded.data.path == str(tmp_path / "data")
    assert loaded.data.table == str(tmp_path / "data" / "list.csv")
    assert re.search(r"table: data/list.csv +#", text)
    found = (loaded.data.image, loaded.data.label, loaded.data.group, loaded.data.split)
    assert found == (column, "letter", "writer", "part")
    assert (loaded.data.size, loaded.data.channels, loaded.split.by) == ((36, 28), 1, "given")
    assert "CHECK" not in text


def test_a_list_with_several_possible_labels_is_uncertain(tmp_path):
    columns = {
        "file": write_listed_images(tmp_path / "data"),
        "letter": ["A", "B", "C"] * 8,
        "font": ["x", "y"] * 12,
    }
    pyarrow.csv.write_csv(pa.table(columns), tmp_path / "data" / "list.csv")
    _, text = init(tmp_path, tmp_path / "data")
    assert "CHECK: the label column 'font' is a guess" in text


@pytest.mark.parametrize(
    ("names", "same", "is_certain"),
    [
        (("left", "right"), "same", True),
        (("img1", "img2"), "match", True),
        (("x", "y"), "label", False),
        (("x", "y"), "relation", False),
    ],
)
def test_pairs_of_images_are_recognised_by_their_cells(tmp_path, names, same, is_certain):
    paths = write_listed_images(tmp_path / "data")
    # No image is in two pairs.
    columns = {names[0]: paths[:12], names[1]: paths[12:], same: [0, 1] * 6}
    pyarrow.csv.write_csv(pa.table(columns), tmp_path / "data" / "pairs.csv")
    loaded, text = init(tmp_path, tmp_path / "data")
    assert isinstance(loaded.data, PairTable)
    assert (loaded.data.left, loaded.data.right, loaded.data.same) == (*names, same)
    assert (loaded.data.size, loaded.data.channels) == ((36, 28), 1)
    assert ("CHECK" not in text) == is_certain


@pytest.mark.parametrize("form", ["bytes", "struct"])
def test_images_in_the_cells_of_parquet_are_recognised(tmp_path, form):
    encoded = []
    for _ in range(12):
        buffer = io.BytesIO()
        picture(36, 28).save(buffer, "PNG")
        image = buffer.getvalue()
        encoded.append(image if form == "bytes" else {"bytes": image, "path": "x.png"})
    table = pa.table({"image": encoded, "label": [0, 1, 2] * 4})
    pq.write_table(table, tmp_path / "t.parquet")
    loaded, text = init(tmp_path, tmp_path / "t.parquet")
    assert isinstance(loaded.data, ImageFolder)
    assert (loaded.data.table, loaded.data.image) == (str(tmp_path / "t.parquet"), "image")
    assert (loaded.data.label, loaded.data.size, loaded.data.channels) == ("label", (36, 28), 3)
    assert "CHECK" not in text


@pytest.mark.parametrize("num_listed", [4, 24])
def test_a_table_that_lists_few_of_the_images_in_class_folders_is_not_used(tmp_path, num_listed):
    root = write_images(tmp_path / "data", "ABC", 8)
    names = sorted(str(path.relative_to(root)) for path in root.glob("*/*.png"))[:num_listed]
    table = pa.table({"file": names, "species": ["x", "y"] * (num_listed // 2)})
    pyarrow.csv.write_csv(table, root / "list.csv")
    loaded, _ = init(tmp_path, root)
    assert loaded.data.table == (None if num_listed == 4 else str(root / "list.csv"))


def test_split_and_group_columns_of_tables_are_recognised(tmp_path):
    columns = {
        "v": RANDOM.random(40),
        "w": RANDOM.random(40),
        "species": ["x", "y"] * 20,
        "patient": [i % 7 for i in range(40)],
        "set": ["train", "train", "Test", "valid"] * 10,
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    loaded, text = init(tmp_path, tmp_path / "t.parquet")
    assert (loaded.data.label, loaded.data.group) == ("species", "patient")
    assert (loaded.data.split, loaded.split.by) == ("set", "given")
    columns = infer_input_spec(loaded.data, loaded.split).columns
    assert [column.name for column in columns] == ["v", "w"]
    assert "CHECK" not in text


@pytest.mark.parametrize(
    ("names", "by"), [(("train", "test"), "given"), (("first", "test"), "example")]
)
@pytest.mark.parametrize("kind", ["table", "pairs"])
def test_files_named_like_splits_are_recognised(tmp_path, names, by, kind):
    for name in names:
        columns = {"left_v": RANDOM.random(40), "right_v": RANDOM.random(40)}
        role = {"species": ["ape", "cat"] * 20} if kind == "table" else {"same": [0, 1] * 20}
        (tmp_path / "data").mkdir(exist_ok=True)
        pq.write_table(pa.table(columns | role), tmp_path / "data" / f"{name}-00000.parquet")
    loaded, text = init(tmp_path, tmp_path / "data")
    assert (loaded.data.kind, loaded.data.split, loaded.split.by) == (kind, None, by)
    note = "The names of the files state the splits (split.by: given): 'test-00000.parquet'"
    assert (note in text) == (by == "given")


@pytest.mark.parametrize("values", [[0, 1], ["train", "unknown"]])
def test_a_split_column_with_other_values_is_uncertain_and_no_part_of_the_vector(tmp_path, values):
    columns = {"v": RANDOM.random(40), "split": values * 20, "label": ["x", "y"] * 20}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    loaded, text = init(tmp_path, tmp_path / "t.parquet")
    assert (loaded.data.label, loaded.data.split, loaded.split.by) == ("label", None, "example")
    columns = infer_input_spec(loaded.data, loaded.split).columns
    assert [column.name for column in columns] == ["v"]
    assert "CHECK: the column 'split' is named like a split, but its values" in unwrap(text)


def test_unused_columns_of_pairs_are_listed(tmp_path):
    columns = {"left_a": RANDOM.random(9), "right_a": RANDOM.random(9), "same": [0, 1, 1] * 3}
    pq.write_table(pa.table({**columns, "weight": RANDOM.random(9)}), tmp_path / "t.parquet")
    _, text = init(tmp_path, tmp_path / "t.parquet")
    assert "Not used: 'weight' (number column, which is not part of the vector)." in text


@pytest.mark.parametrize("only_links", [True, False])
def test_a_folder_of_the_targets_of_links_is_proposed(tmp_path, only_links):
    store = write_images(tmp_path / "store", "ABC", 2)
    root = tmp_path / "data"
    for name in "ABC":
        (root / name).mkdir(parents=True)
        (root / name / "link").symlink_to(next((store / name).iterdir()))
        if not only_links:
            picture(28, 28).save(root / name / "1.png")
    loaded, text = init(tmp_path, root)
    assert loaded.data.follow_links == str(store)
    amount = "all" if only_links else "some"
    assert f"CHECK: {amount} images are symbolic links out of the data folder" in unwrap(text)


def pairs_of_items(links, num_items, by_path, folder):
    """Write pairs of numbered items, and return the path of the table."""
    folder.mkdir()
    if by_path:
        paths = write_listed_images(folder, num_items)
        columns = {
            "left": [paths[left] for left, _ in links],
            "right": [paths[right] for _, right in links],
        }
    else:
        items = RANDOM.random((num_items, 2))
        ends = np.array(links)
        columns = {
            f"{side}_{i}": items[ends[:, column], i]
            for column, side in enumerate(("left", "right"))
            for i in range(2)
        }
    columns["same"] = [i % 2 for i in range(len(links))]
    pq.write_table(pa.table(columns), folder / "pairs.parquet")
    return folder / "pairs.parquet"


@pytest.mark.parametrize("by_path", [True, False])
@pytest.mark.parametrize(
    ("links", "by", "found"),
    [
        # Six pairs of two items, without a common item.
        ([(2 * i, 2 * i + 1) for i in range(6)], "example", None),
        # A chain of three pairs, and three single pairs: 2 items occur in two pairs.
        (
            [(0, 1), (1, 2), (2, 3), (4, 5), (6, 7), (8, 9)],
            "connected",
            "Examples in several pairs: 2.*the largest has 3 of 6 pairs (50%)",
        ),
        # A star: one item is in all pairs.
        (
            [(0, i) for i in range(1, 8)],
            "connected",
            "CHECK: Examples in several pairs: 1.*the largest has 7 of 7 pairs (100%)",
        ),
    ],
)
def test_a_split_by_connected_pairs_is_proposed(tmp_path, by_path, links, by, found):
    path = pairs_of_items(links, 12, by_path, tmp_path / "data")
    loaded, text = init(tmp_path, path)
    assert loaded.split.by == by
    text = unwrap(text)
    assert ("CHECK" in text) == (found is not None and "CHECK" in found)
    if found is None:
        assert "in several pairs" not in text
    else:
        assert re.search(re.escape(found).replace(r"\.\*", ".*"), text)


def test_a_column_of_times_is_noted(tmp_path):
    columns = {"v": RANDOM.random(9), "label": ["a", "b", "c"] * 3, "date": ["2026-01-01"] * 9}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    loaded, text = init(tmp_path, tmp_path / "t.parquet")
    assert loaded.split.by == "example"
    assert "set data.time: date and split.by: time" in unwrap(text)
