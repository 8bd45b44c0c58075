"""What is imported from the working directory; tests/runs and tests/service check real workers."""

import subprocess
import sys

import pytest
from hostile_modules import HostileFolder

BEAM = """
from apache_beam import Create, Map, Pipeline
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from diptych.components.common.import_path import safe_import_path

def write_path(_):
    import sys
    open("path.txt", "w").write(repr(sys.path))

options = PipelineOptions(direct_running_mode="multi_processing", direct_num_workers=1)
with safe_import_path(), Pipeline(FnApiRunner(), options) as pipeline:
    pipeline | Create([1]) | Map(write_path)
"""
ENCODER = """
import os, sys
from diptych.components.common.import_path import import_encoder_from, prepare_encoder_import
if {in_child}:
    prepare_encoder_import({name!r} + ":build")
else:
    import_encoder_from(os.getcwd(), {name!r} + ":build")
module = __import__({name!r}, fromlist=["build"])
print(os.path.relpath(module.__file__))
import pydantic, yaml, tomllib
"""


def _run(code, folder, **environment):
    return subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=folder,
        env={**environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_process_of_beam_imports_nothing_from_the_working_directory(tmp_path):
    hostile = HostileFolder(tmp_path)
    result = _run(BEAM, tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "path.txt").exists()
    assert hostile.imported() == []


@pytest.mark.parametrize("in_child", [False, True])
@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("my_encoder", "my_encoder.py"),
        ("my_package", "my_package/__init__.py"),
        ("my_package.blocks", "my_package/blocks.py"),
        ("plain_folder.blocks", "plain_folder/blocks.py"),
    ],
)
def test_only_the_module_of_the_encoder_is_imported_from_the_folder(tmp_path, name, file, in_child):
    hostile = HostileFolder(tmp_path / "a:b")
    (hostile.path / file).parent.mkdir(exist_ok=True)
    (hostile.path / file).write_text("def build(shape, size): pass\n")
    folder = {"DIPTYCH_ENCODER_FOLDER": str(hostile.path)} if in_child else {}
    result = _run(ENCODER.format(name=name, in_child=in_child), hostile.path, **folder)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip() == file
    assert hostile.imported() == []


def test_a_folder_without_code_does_not_hide_an_installed_encoder(tmp_path):
    (tmp_path / "yaml").mkdir()
    (tmp_path / "yaml" / "data.csv").touch()
    result = _run(ENCODER.format(name="yaml", in_child=False), tmp_path)
    assert result.stdout.strip().endswith("site-packages/yaml/__init__.py"), result.stderr


def test_the_module_of_the_encoder_comes_before_an_installed_one(tmp_path):
    (tmp_path / "yaml.py").write_text("def build(shape, size): pass\n")
    result = _run(ENCODER.format(name="yaml", in_child=False), tmp_path)
    assert result.stdout.strip() == "yaml.py", result.stderr
