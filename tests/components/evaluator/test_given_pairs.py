"""Given evaluation pairs: images by path, and examples by id or source."""

import hashlib
import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from diptych.components.evaluator.given_pairs import evaluate_given_pairs
from diptych.components.evaluator.labelled_examples import RawSplit
from diptych.components.evaluator.pair_list_source import find_image_files, inspect_pair_list
from diptych.schemas.config.data import ImageFolder, Table
from diptych.schemas.config.evaluate import EvaluateConfig
from diptych.schemas.errors import DataError
from diptych.schemas.input_spec import Column, InputSpec

IMAGES = InputSpec(kind="image", size=(4, 4), channels=1)
VECTORS = InputSpec(kind="vector", columns=(Column(name="v"),))
CONFIG = EvaluateConfig(bootstrap=20, false_accept_rates=(0.5,))


class GreyModel:
    """Embeds an image as its mean grey value, and a vector as itself."""

    threshold = 25.0

    def embed(self, raw):
        if raw.dtype == object:
            raw = [[np.asarray(Image.open(io.BytesIO(image))).mean()] for image in raw]
        return np.asarray(raw, np.float32)

    def distance(self, left, right):
        return np.abs(left - right)[:, 0]


def png(grey):
    buffer = io.BytesIO()
    Image.new("L", (4, 4), grey).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def pictures(tmp_path):
    """Four persons of two pictures each; the grey values of a person differ by 10."""
    for number, name in enumerate(("Ada", "Bob", "Cy", "Di")):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for index in (1, 2):
            path = tmp_path / "pictures" / name / f"{name}_{index:04d}.png"
            path.write_bytes(png(30 + 50 * number + 10 * index))
    return tmp_path / "pictures"


@pytest.fixture
def image_splits(pictures, write_records, tmp_path):
    """Ada's first picture is in the training split, Di's first in the test split."""

    def split(name, person, held_out):
        content = (pictures / person / f"{person}_0001.png").read_bytes()
        record = {
            "image": [content],
            "id": [hashlib.blake2b(content, digest_size=16).hexdigest().encode()],
            "source": [f"{person}/{person}_0001.png".encode()],
        }
        return RawSplit([write_records(tmp_path / f"{name}.gz", [record])], 1, held_out)

    return {"train": split("train", "Ada", False), "test": split("test", "Di", True)}


def data_of(pictures):
    return ImageFolder(kind="images", path=str(pictures))


def write_list(tmp_path, text, name="pairs.csv"):
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


LFW = "2\t1\nAda\t1\t2\nAda\t2\tBob\t1\nCy\t1\t2\nCy\t2\tDi\t1\n"


def test_an_lfw_list_has_an_accuracy_over_folds(pictures, image_splits, tmp_path):
    file = write_list(tmp_path, LFW, "pairs.txt")
    source = inspect_pair_list(file, data_of(pictures), IMAGES)
    result = evaluate_given_pairs(tmp_path, source, image_splits, IMAGES, GreyModel(), CONFIG)
    # Positive pairs are 10 apart, negative ones 40: every threshold of the other fold separates.
    assert (result.folds.accuracies, result.folds.mean) == ((1, 1), 1)
    assert result.folds.thresholds == (25, 25)
    assert result.verification.calibrated.accuracy.value == 1
    assert (result.pairs, result.leaked_pairs, result.leaked_examples) == (4, 1, 1)
    assert result.notes == ()
    rows = pq.read_table(tmp_path / "given_pairs.parquet").to_pylist()
    assert [row["distance"] for row in rows] == [10, 40, 10, 40]
    assert [row["leaked"] for row in rows] == [True, False, False, False]
    assert [row["fold"] for row in rows] == [0, 0, 1, 1]
    assert (rows[1]["left"], rows[1]["right"]) == ("Ada/Ada_0002", "Bob/Bob_0001")


def test_paths_are_relative_to_the_list_or_to_the_data_and_ids_are_looked_up(
    pictures, image_splits, tmp_path
):
    di = hashlib.blake2b((pictures / "Di" / "Di_0001.png").read_bytes(), digest_size=16).hexdigest()
    absolute = pictures / "Bob" / "Bob_0001.png"
    file = write_list(
        tmp_path,
        f"left,right,same\npictures/Ada/Ada_0001.png,Ada/Ada_0002.png,1\n{di},{absolute},0\n",
    )
    source = inspect_pair_list(file, data_of(pictures), IMAGES)
    result = evaluate_given_pairs(tmp_path, source, image_splits, IMAGES, GreyModel(), CONFIG)
    rows = pq.read_table(tmp_path / "given_pairs.parquet").to_pylist()
    assert [row["distance"] for row in rows] == [10, 100]
    assert [row["fold"] for row in rows] == [None, None]
    assert result.folds is None
    assert result.leaked_pairs == 1


def test_unusable_images_are_left_out_with_a_note(pictures, image_splits, tmp_path):
    (pictures / "Bob" / "Bob_0001.png").write_bytes(b"no image")
    file = write_list(tmp_path, LFW, "pairs.txt")
    source = inspect_pair_list(file, data_of(pictures), IMAGES)
    result = evaluate_given_pairs(tmp_path, source, image_splits, IMAGES, GreyModel(), CONFIG)
    left_out, reason = result.notes
    assert left_out == "1 given pair is left out."
    assert reason.startswith("1 listed example cannot be used, such as Bob/Bob_0001: not a")
    assert result.pairs == 4
    assert result.verification.pairs == 3


def test_names_are_found_in_any_normal_form(tmp_path):
    for number, name in enumerate(("Zoe\u0308", "NA")):  # e and a combining diaeresis
        (tmp_path / name).mkdir()
        (tmp_path / name / f"{name}_0001.png").write_bytes(png(number))
    file = write_list(tmp_path, "1\nZo\u00eb\t1\tNA\t1\nNA\t1\t2\n", "pairs.txt")
    (tmp_path / "NA" / "NA_0002.jpg").write_bytes(png(5))
    names = ["NA/NA_0001", "NA/NA_0002", "Zo\u00eb/Zo\u00eb_0001"]
    folders = [str(tmp_path)]
    assert find_image_files(names, folders, is_lfw=True) == [
        f"{tmp_path}/NA/NA_0001.png",
        f"{tmp_path}/NA/NA_0002.jpg",
        f"{tmp_path}/Zoe\u0308/Zoe\u0308_0001.png",
    ]
    assert find_image_files([f"{names[2]}.png", "NA"], folders, is_lfw=False) == [
        f"{tmp_path}/Zoe\u0308/Zoe\u0308_0001.png",
        None,
    ]
    assert inspect_pair_list(file, data_of(tmp_path), IMAGES).folders == (str(tmp_path),)


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        (LFW.replace("Bob\t1", "Bob\t3"), "pairs.txt", "1 of 6 .* such as 'Bob/Bob_0003.*'"),
        ("a,b,same\nAda/1.png,Ada/Ada_0001.png,1\nq,w,0\n", "p.csv", "3 of 4 .* 'Ada/1.png'"),
    ],
)
def test_missing_images_are_an_error_before_the_run(pictures, tmp_path, text, name, expected):
    file = write_list(tmp_path, text, name)
    with pytest.raises(DataError, match=expected) as error:
        inspect_pair_list(file, data_of(pictures), IMAGES)
    assert f"relative to {tmp_path} or {pictures}" in str(error.value)


def test_the_fingerprint_changes_with_the_list_and_the_images(pictures, tmp_path):
    def fingerprint():
        return inspect_pair_list(file, data_of(pictures), IMAGES).fingerprint

    file = write_list(tmp_path, LFW, "pairs.txt")
    first = fingerprint()
    assert fingerprint() == first
    (pictures / "Cy" / "Cy_0001.png").write_bytes(png(3) + b"more")
    second = fingerprint()
    assert second != first
    write_list(tmp_path, LFW + "\n", "pairs.txt")
    assert fingerprint() not in (first, second)


@pytest.fixture
def vector_splits(write_records, tmp_path):
    def split(name, numbers, held_out):
        records = [
            {
                "v": [float(number)],
                "id": [f"{number:032x}".encode()],
                "source": [f"data.csv:{number}".encode()],
            }
            for number in numbers
        ]
        return RawSplit([write_records(tmp_path / f"{name}.gz", records)], 2, held_out)

    return {"train": split("train", [1, 10], False), "test": split("test", [2, 200], True)}


def test_vectors_are_listed_by_id_or_source(vector_splits, tmp_path):
    file = write_list(
        tmp_path,
        f"a,b,same\ndata.csv:2,{1:032x},1\n{200:032x},data.csv:2,0\ndata.csv:7,data.csv:10,0\n",
    )
    data = Table(kind="table", path=str(tmp_path), label="label")
    source = inspect_pair_list(file, data, VECTORS)
    result = evaluate_given_pairs(tmp_path, source, vector_splits, VECTORS, GreyModel(), CONFIG)
    rows = pq.read_table(tmp_path / "given_pairs.parquet").to_pylist()
    assert [(row["distance"], row["leaked"]) for row in rows] == [(1, True), (198, False)]
    assert (result.pairs, result.leaked_pairs, result.leaked_examples) == (3, 2, 2)
    assert result.notes == (
        "1 given pair is left out.",
        "1 listed example cannot be used, such as data.csv:7: is not an example of the data.",
    )


def test_vectors_are_listed_by_their_key_in_the_column_of_the_ids(write_records, tmp_path):
    records = [
        {
            "v": [float(number)],
            "id": [hashlib.blake2b(key, digest_size=16).hexdigest().encode()],
            "source": [b"data.csv:%d" % number],
        }
        for number, key in ((1, b"k1"), (4, b"\xc3\xa9"), (9, b"k9"))
    ]
    splits = {"test": RawSplit([write_records(tmp_path / "test.gz", records)], 3, True)}
    file = write_list(tmp_path, "a,b,same\nk1,\u00e9,1\nk9,k1,0\n")
    source = inspect_pair_list(file, Table(kind="table", path="x", label="y"), VECTORS)
    evaluate_given_pairs(tmp_path, source, splits, VECTORS, GreyModel(), CONFIG)
    rows = pq.read_table(tmp_path / "given_pairs.parquet").to_pylist()
    assert [row["distance"] for row in rows] == [3, 8]


def test_a_list_without_a_usable_pair_of_each_kind_has_no_metrics(vector_splits, tmp_path):
    file = write_list(
        tmp_path, "a,b,same,fold\ndata.csv:2,data.csv:1,1,1\ndata.csv:7,data.csv:8,0,2\n"
    )
    source = inspect_pair_list(file, Table(kind="table", path="x", label="label"), VECTORS)
    result = evaluate_given_pairs(tmp_path, source, vector_splits, VECTORS, GreyModel(), CONFIG)
    assert (result.verification, result.folds) == (None, None)
    assert len(result.notes) == 2


def test_an_lfw_list_of_vectors_is_an_error(tmp_path):
    file = write_list(tmp_path, LFW, "pairs.txt")
    with pytest.raises(DataError, match="lists images, but the data are vectors"):
        inspect_pair_list(file, Table(kind="table", path="x", label="label"), VECTORS)
