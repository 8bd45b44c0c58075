import json
import os
import resource
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from pushed_model import push_vectors

from diptych.inference.gallery import Contradiction, EnrollResult, Gallery
from diptych.inference.gallery_files import GalleryWriteError
from diptych.inference.pushed_model import PushedModel
from diptych.schemas.errors import DataError, ModelError
from diptych.schemas.manifest import ModelManifest


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    """Version 1 embeds a vector as itself, version 2 as its double; the thresholds are 1 and 2."""
    folder = tmp_path_factory.mktemp("serving")
    push_vectors(folder, version=1, threshold=1.0)
    push_vectors(folder, version=2, threshold=2.0, scale=2.0)
    return folder


@pytest.fixture(scope="module")
def model(serving):
    return PushedModel(serving / "1")


@pytest.fixture(scope="module")
def newer(serving):
    return PushedModel(serving / "2")


def enroll(gallery, model, *examples):
    labels, raw = zip(*examples, strict=True)
    raw = np.array(raw, np.float32)
    sources = [f"{label}:{number}" for number, label in enumerate(labels)]
    return gallery.enroll(labels, model.embed(raw), sources, raw)


def identify(gallery, model, *raw, k=5):
    found = gallery.identify(model.embed(np.array(raw, np.float32)), k)
    return [[(one.label, round(one.distance, 3), one.same) for one in some] for some in found]


def file_contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def gallery(tmp_path, model):
    gallery = Gallery.create_or_open(tmp_path / "gallery", model)
    enroll(gallery, model, ("rook", (0, 0)), ("crow", (3, 0)), ("rook", (0, 2)), ("daw", (9, 9)))
    return gallery


def test_the_distance_of_a_class_is_that_of_its_nearest_example(gallery, model):
    assert identify(gallery, model, (0, 1.5), (2, 0), k=2) == [
        [("rook", 0.5, True), ("crow", 3.354, False)],
        [("crow", 1.0, True), ("rook", 2.0, False)],
    ]
    ((first, *_),) = gallery.identify(np.array([[0, 1.5]], np.float32))
    assert first.source == "rook:2"


def test_an_example_far_from_all_classes_is_unknown(gallery, model):
    ((*candidates,),) = identify(gallery, model, (50, 50))
    assert [same for _, _, same in candidates] == [False] * 3


def test_a_reopened_gallery_gives_the_same_results(gallery, model):
    again = Gallery.open(gallery.folder, model)
    assert again.labels == gallery.labels == {"crow": 1, "daw": 1, "rook": 2}
    assert len(again) == 4
    queries = np.random.default_rng(0).normal(0, 5, (20, 2)).astype(np.float32)
    assert again.identify(queries) == gallery.identify(queries)


def test_a_known_example_is_not_added(gallery, model):
    assert enroll(
        gallery, model, ("rook", (0, 0)), ("jay", (5, 5)), ("jay", (5, 5))
    ) == EnrollResult(added=1, known=2, contradictions=())
    assert gallery.labels == {"crow": 1, "daw": 1, "jay": 1, "rook": 2}


def test_an_example_with_two_labels_is_reported_and_not_added(gallery, model):
    done = enroll(gallery, model, ("jay", (0, 0)), ("jay", (5, 5)), ("pie", (5, 5)))
    contradictions = (Contradiction("jay:0", "jay", "rook"), Contradiction("pie:2", "pie", "jay"))
    assert done == EnrollResult(added=1, known=0, contradictions=contradictions)
    assert gallery.labels == {"crow": 1, "daw": 1, "jay": 1, "rook": 2}


def test_adding_examples_one_by_one_creates_few_files(gallery, model):
    before = set(file_contents(gallery.folder))
    for number in range(60):
        enroll(gallery, model, ("jay", (100, number)))
    after = set(file_contents(gallery.folder))
    assert len(after) <= 2 * 7 + 2  # parts of 2, 4, ... 32 examples; gallery.json and the lock
    assert not {name for name in before if name.endswith(".arrow")} & after
    assert Gallery.open(gallery.folder, model).labels["jay"] == 60


def test_the_next_change_deletes_files_of_killed_processes_and_no_others(gallery, model):
    partial_files = {
        "gallery.json.7-0a0b0c0d.part",
        "examples-00000009.arrow.7-0a0b0c0d.part",
        "raw-00000009.arrow",
    }
    for name in (*partial_files, "notes.txt", "my.part"):
        (gallery.folder / name).write_bytes(b"partial")
    enroll(gallery, model, ("jay", (100, 1)))
    left = set(file_contents(gallery.folder))
    assert not left & partial_files
    assert {"notes.txt", "my.part", "gallery.json"} <= left


def test_adding_an_example_does_not_rewrite_large_parts(gallery, model):
    raw = np.random.default_rng(0).normal(100, 1, (5_000, 2)).astype(np.float32)
    gallery.enroll(["jay"] * 5_000, model.embed(raw), ["jay"] * 5_000, raw)
    before = file_contents(gallery.folder)
    enroll(gallery, model, ("pie", (7, 7)))
    after = file_contents(gallery.folder)
    large = [name for name, content in before.items() if len(content) > 10_000]
    assert len(large) == 2
    assert all(after[name] == before[name] for name in large)


def test_embeddings_of_another_model_are_an_error_with_both_versions(gallery, newer):
    with pytest.raises(
        ModelError,
        match=r"embeddings of birds version 1, but .*/2 is birds version 2.*"
        r"--model .*/1\b.*--re-embed",
    ):
        Gallery.open(gallery.folder, newer)


def test_a_version_of_another_pipeline_with_the_same_number_is_an_error(gallery, tmp_path):
    other = PushedModel(push_vectors(tmp_path / "other", version=1, threshold=0.5))
    with pytest.raises(ModelError, match="embeddings of different models are meaningless"):
        Gallery.open(gallery.folder, other)


def test_the_same_model_with_another_number_is_accepted(gallery, serving, tmp_path):
    shutil.copytree(serving / "1", tmp_path / "7")
    manifest = ModelManifest.read(tmp_path / "7")
    manifest.model_copy(update={"version": 7}).write(tmp_path / "7")
    assert len(Gallery.open(gallery.folder, PushedModel(tmp_path / "7"))) == 4


def test_re_embedding_equals_enrolling_with_the_other_model(gallery, newer, tmp_path):
    blocks = []
    re_embedded = Gallery.re_embed(gallery.folder, newer, blocks.append)
    fresh = Gallery.create_or_open(tmp_path / "fresh", newer)
    enroll(fresh, newer, ("rook", (0, 0)), ("crow", (3, 0)), ("rook", (0, 2)), ("daw", (9, 9)))
    queries = np.random.default_rng(0).normal(0, 5, (20, 2)).astype(np.float32)
    assert re_embedded.identify(queries) == fresh.identify(queries)
    assert re_embedded.labels == fresh.labels
    assert sum(blocks) == 4
    with pytest.raises(ModelError, match="birds version 2"):
        gallery.refresh()


def test_a_model_of_other_columns_cannot_re_embed(gallery, tmp_path):
    other = PushedModel(push_vectors(tmp_path / "other", columns=(("a", 1), ("z", 1))))
    before = file_contents(gallery.folder)
    with pytest.raises(ModelError, match=r"'a', 'b'.*'a', 'z'.*new folder"):
        Gallery.re_embed(gallery.folder, other)
    assert file_contents(gallery.folder) == before


def test_a_removed_class_leaves_no_data(gallery, model):
    secret = (0.123456, 6.54321)
    enroll(gallery, model, ("jay", secret), ("pie", (8, 8)))
    digits = np.array(secret, np.float32).tobytes()
    assert any(digits in content for content in file_contents(gallery.folder).values())
    assert gallery.remove("jay") == 1
    assert not any(digits in content for content in file_contents(gallery.folder).values())
    assert Gallery.open(gallery.folder, model).labels == {"crow": 1, "daw": 1, "pie": 1, "rook": 2}


def test_labels_in_another_normal_form_or_with_white_space_are_one_class(gallery, model):
    enroll(gallery, model, ("Zoe\u0308", (20, 0)), (" Zo\u00eb ", (21, 0)))
    assert gallery.labels["Zo\u00eb"] == 2
    assert enroll(gallery, model, ("Zoe\u0308", (20, 0))).known == 1
    assert gallery.remove("Zoe\u0308 ") == 2
    assert "Zo\u00eb" not in gallery.labels


def test_removing_an_unknown_class_is_an_error(gallery):
    with pytest.raises(DataError, match=r"no class 'jay'.*3 classes: 'crow', 'daw', 'rook'"):
        gallery.remove("jay")


def test_changes_of_other_objects_are_visible_after_a_refresh(gallery, model):
    other = Gallery.open(gallery.folder, model)
    enroll(other, model, ("jay", (5, 5)))
    assert "jay" not in gallery.labels
    assert gallery.refresh()
    assert "jay" in gallery.labels
    assert not gallery.refresh()


def test_concurrent_threads_lose_no_examples(gallery, model):
    def enroll_of_thread(thread):
        for number in range(10):
            raw = np.array([[thread, 20 + number]], np.float32)
            gallery.enroll([f"thread {thread}"], raw, ["here"], raw)

    with ThreadPoolExecutor() as pool:
        refreshed = [pool.submit(gallery.refresh) for _ in range(20)]
        enrolled = [pool.submit(enroll_of_thread, thread) for thread in range(4)]
        refreshed += [pool.submit(gallery.refresh) for _ in range(20)]
        for done in (*refreshed, *enrolled):
            done.result()
    added = {f"thread {thread}": 10 for thread in range(4)}
    assert gallery.labels == {"crow": 1, "daw": 1, "rook": 2} | added
    assert Gallery.open(gallery.folder, model).labels == gallery.labels


@pytest.mark.parametrize("damage", ["cut", "changed", "missing", "empty"])
def test_a_damaged_file_is_named(gallery, model, damage):
    (path,) = gallery.folder.glob("examples-*")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes({"cut": content[:100], "changed": content, "empty": b""}[damage])
    with pytest.raises(ModelError, match=rf"{path.name} is (damaged|missing)"):
        Gallery.open(gallery.folder, model)


def test_a_file_that_is_truncated_while_the_gallery_is_open_is_named(gallery, model):
    (path,) = gallery.folder.glob("examples-*")
    os.truncate(path, 0)  # in place, as rsync --inplace does
    assert identify(gallery, model, (3, 0), k=1) == [[("crow", 0.0, True)]]
    with pytest.raises(ModelError, match=rf"{path.name} is damaged"):
        Gallery.open(gallery.folder, model)


@pytest.mark.parametrize("name", [".lock", "gallery.json", "examples-*", "raw-*"])
def test_a_pipe_instead_of_a_file_is_named(gallery, model, newer, name):
    (path,) = gallery.folder.glob(name)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ModelError, match=rf"not a regular file.*{path.name}|{path.name}.*regular"):
        Gallery.re_embed(gallery.folder, newer)


def test_a_full_disk_is_named_and_changes_nothing(gallery, model):
    raw = np.arange(2000, dtype=np.float32).reshape(1000, 2)
    names = [str(number) for number in range(1000)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # then writing fails as if it were
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(GalleryWriteError, match=r"cannot be changed: File too large"):
            gallery.enroll(names, raw, names, raw)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, previous)
    assert len(Gallery.open(gallery.folder, model)) == 4
    assert gallery.enroll(names, raw, names, raw).added == 1000


def test_a_damaged_raw_file_is_named_and_changes_nothing(gallery, newer, model):
    (path,) = gallery.folder.glob("raw-*")
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ModelError, match=rf"{path.name} is damaged"):
        Gallery.re_embed(gallery.folder, newer)
    assert len(Gallery.open(gallery.folder, model)) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"parts": [{"rows": 1, "examples": {"name": "../../etc/passwd"}}]},
        {"unknown": 1},
        {"next_number": -1},
        {"next_number": 10**8},
        {"inputs": {"kind": "vector", "columns": [{"name": "a", "width": 2**31}]}},
        {"inputs": {"kind": "vector"}},
    ],
)
def test_an_invalid_catalog_is_an_error(gallery, model, change):
    path = gallery.folder / "gallery.json"
    content = json.loads(path.read_text())
    if "inputs" in change:
        change = {"embedder": content["embedder"] | change}
    path.write_text(json.dumps(content | change))
    with pytest.raises(ModelError, match=r"gallery\.json is damaged"):
        Gallery.open(gallery.folder, model)


def test_a_file_with_other_columns_is_an_error(gallery, model):
    (path,) = gallery.folder.glob("examples-*")
    forged = pa.table({"label": ["rook"] * 4})
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_file(sink, forged.schema) as out:
        out.write_table(forged)
    from diptych.schemas.manifest import compute_digest

    catalog = gallery.folder / "gallery.json"
    content = json.loads(catalog.read_text())
    content["parts"][0]["examples"] |= compute_digest(path).model_dump()
    catalog.write_text(json.dumps(content))
    with pytest.raises(ModelError, match="number of rows do not match the gallery"):
        Gallery.open(gallery.folder, model)


@pytest.mark.parametrize(
    ("label", "name"), [("", "label"), ("x" * 1001, "label"), ("\udcff", "label")]
)
def test_an_invalid_label_is_an_error(gallery, model, label, name):
    with pytest.raises(DataError, match=f"A {name} needs 1 to 1000 bytes of UTF-8"):
        enroll(gallery, model, (label, (1, 1)))


@pytest.mark.parametrize("number", [np.nan, np.inf, 1e30])
def test_embeddings_that_cannot_be_compared_are_refused(gallery, number):
    embeddings = np.array([[number, 0]], np.float32)
    with pytest.raises(DataError, match="infinite, not a number, or above 1e15"):
        gallery.identify(embeddings)
    with pytest.raises(DataError, match="infinite, not a number, or above 1e15"):
        gallery.enroll(["jay"], embeddings, ["jay"], embeddings)


def test_embeddings_of_another_size_are_refused(gallery):
    with pytest.raises(DataError, match=r"shape \(1, 3\), expected \(n, 2\)"):
        gallery.identify(np.zeros((1, 3), np.float32))


def test_a_folder_of_something_else_is_left_alone(tmp_path, model):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ModelError, match="holds files that are not a gallery"):
        Gallery.create_or_open(tmp_path, model)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_a_missing_gallery_is_an_error(tmp_path, model):
    for use in (Gallery.open, Gallery.re_embed):
        with pytest.raises(ModelError, match=r"not a gallery.*diptych enroll"):
            use(tmp_path, model)
    assert not list(tmp_path.iterdir())


def test_an_empty_gallery_has_no_candidates(tmp_path, model):
    gallery = Gallery.create_or_open(tmp_path / "new", model)
    assert identify(gallery, model, (1, 1)) == [[]]
    assert gallery.labels == {}
