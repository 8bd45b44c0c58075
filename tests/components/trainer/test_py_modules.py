import subprocess
import sys
from pathlib import Path

from diptych.components.trainer.py_modules import build_py_modules
from diptych.schemas.config.model import ModelConfig

# Without the working directory, PYTHONPATH (-I), site-packages (-S) and byte code (-B).
ISOLATED_PYTHON = [sys.executable, "-I", "-S", "-B", "-c"]


def _run(code, *arguments):
    return subprocess.run(
        [*ISOLATED_PYTHON, code, *arguments], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_the_uploaded_package_contains_all_modules_that_a_worker_imports():
    with build_py_modules(ModelConfig()) as py_modules:
        (package,) = py_modules
        code = (
            "import sys; sys.path.insert(0, sys.argv[1]); import importlib.util as u\n"
            "for name in ('', '.components.trainer.ray_worker', '.schemas.config.train'):\n"
            "    print(u.find_spec('diptych' + name).origin)"
        )
        files = _run(code, str(Path(package).parent)).splitlines()
        assert len(files) == 3
        assert all(Path(file).is_relative_to(package) for file in files)
        assert not list(Path(package).rglob("__pycache__"))
    assert not Path(package).exists()


def test_a_custom_encoder_is_uploaded_as_its_module_or_package(tmp_path, monkeypatch):
    (tmp_path / "single_module.py").touch()
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package" / "__init__.py").touch()
    (tmp_path / "a_package" / "part.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with build_py_modules(ModelConfig(encoder="single_module:build")) as py_modules:
        assert py_modules[1:] == [str(tmp_path / "single_module.py")]
    with build_py_modules(ModelConfig(encoder="a_package.part:build")) as py_modules:
        assert py_modules[1:] == [str(tmp_path / "a_package")]


def test_installed_and_missing_modules_are_not_uploaded():
    for encoder in ("keras.applications:ResNet50", "json.decoder:x", "builtins:print", "no_one:x"):
        with build_py_modules(ModelConfig(encoder=encoder)) as py_modules:
            assert len(py_modules) == 1
