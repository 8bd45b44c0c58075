import subprocess
import sys
from pathlib import Path

from diptych.components.trainer.py_modules import shipment
from diptych.schemas.config.model import Model

# Without the working directory, PYTHONPATH (-I) and site-packages (-S); leaves no byte code (-B).
ALONE = [sys.executable, "-I", "-S", "-B", "-c"]


def _run(code, *arguments):
    return subprocess.run(
        [*ALONE, code, *arguments], capture_output=True, text=True, timeout=60, check=True
    ).stdout


def test_the_package_that_is_sent_holds_what_a_worker_imports():
    with shipment(Model()) as sent:
        (package,) = sent
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


def test_the_users_own_encoder_is_sent_as_its_module_or_its_package(tmp_path, monkeypatch):
    (tmp_path / "single_module.py").touch()
    (tmp_path / "a_package").mkdir()
    (tmp_path / "a_package" / "__init__.py").touch()
    (tmp_path / "a_package" / "part.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    with shipment(Model(encoder="single_module:build")) as sent:
        assert sent[1:] == [str(tmp_path / "single_module.py")]
    with shipment(Model(encoder="a_package.part:build")) as sent:
        assert sent[1:] == [str(tmp_path / "a_package")]


def test_what_is_installed_or_cannot_be_found_is_not_sent():
    for encoder in ("keras.applications:ResNet50", "json.decoder:x", "builtins:print", "no_one:x"):
        with shipment(Model(encoder=encoder)) as sent:
            assert len(sent) == 1
