"""A change of code re-runs the steps that it can change, and documentation re-runs nothing."""

import shutil
from pathlib import Path

import pytest

from diptych.pipeline import caching
from diptych.schemas.config.config import Config

ROOT = Path(__file__).parents[2]
STEPS = [
    *("example_gen", "validation", "transform", "span_drift", "class_centroids", "pair_gen"),
    *("trainer", "evaluator", "pusher"),
]


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A copy of the code that the digests are computed of."""
    for folder in ("components", "pipeline", "schemas"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("*.pyc"))
    monkeypatch.setattr(caching, "_TOP_FOLDER", tmp_path)
    forget()
    yield tmp_path
    forget()


def forget():
    for value in vars(caching).values():
        if hasattr(value, "cache_clear"):
            value.cache_clear()


def digests():
    forget()
    return {step: caching.code_of(step) for step in STEPS if (ROOT / "components" / step).is_dir()}


def changed_steps(tree, path, edit):
    """Steps whose digest an edit of a file changes."""
    before = digests()
    file = tree / path
    text = file.read_text()
    file.write_text(edit(text))
    assert file.read_text() != text
    after = digests()
    return {step for step, digest in before.items() if after[step] != digest}


def add_code(text):
    return text + "\nADDED = 1\n"


def edit_docstring(text):
    return text.replace('"""', '"""Changed. ', 1)


@pytest.mark.parametrize(
    "path", ["schemas/shards.py", "schemas/config/pairs.py", "components/trainer/loop.py"]
)
def test_docstrings_and_comments_change_no_digest(tree, path):
    assert changed_steps(tree, path, edit_docstring) == set()
    assert changed_steps(tree, path, lambda text: text + "\n# A comment.\n") == set()


def test_the_data_profile_of_init_changes_no_digest(tree):
    assert changed_steps(tree, "components/example_gen/profile/tables.py", add_code) == set()


def test_the_runners_and_the_run_history_change_no_digest(tree):
    config = Config(name="toy", data={"kind": "images", "path": "data"})
    before = caching.code_of_pipeline(config)
    for path in ("pipeline/runners/local.py", "pipeline/runs/records.py", "pipeline/session.py"):
        assert changed_steps(tree, path, add_code) == set()
    assert caching.code_of_pipeline(config) == before
    changed_steps(tree, "pipeline/graph.py", add_code)
    assert caching.code_of_pipeline(config) != before


def test_code_of_one_step_changes_the_digest_of_that_step(tree):
    assert changed_steps(tree, "components/pair_gen/layout.py", add_code) == {"pair_gen"}
    assert changed_steps(tree, "components/trainer/loop.py", add_code) == {"trainer"}


def test_code_that_steps_share_changes_the_digest_of_each_step_that_imports_it(tree):
    changed = changed_steps(tree, "schemas/shards.py", add_code)
    assert {"pair_gen", "trainer", "evaluator"} <= changed
    changed = changed_steps(tree, "components/common/images.py", add_code)
    assert {"example_gen", "transform"} <= changed
    assert "pair_gen" not in changed


def test_a_changed_value_in_code_changes_the_digest(tree):
    def edit(text):
        assert "ID_BYTES = 16" in text
        return text.replace("ID_BYTES = 16", "ID_BYTES = 17")

    assert "pair_gen" in changed_steps(tree, "schemas/shards.py", edit)
