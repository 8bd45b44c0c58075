"""The wheel contains all of Diptych and nothing else; the lock contains all dependencies."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = {
    "diptych": "diptych",
    "pipeline": "diptych/pipeline",
    "components": "diptych/components",
    "schemas": "diptych/schemas",
}


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """Build a wheel from a copy: a build writes files that would be part of the next wheel."""
    source = tmp_path_factory.mktemp("source")
    for folder in FOLDERS:
        shutil.copytree(
            ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    built = tmp_path_factory.mktemp("built")
    result = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", built, source],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-2000:]
    (path,) = built.glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        yield archive


def test_wheel_contains_every_module_and_data_file(wheel):
    expected = {
        f"{inside}/{path.relative_to(ROOT / folder)}"
        for folder, inside in FOLDERS.items()
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in wheel.namelist() if ".dist-info/" not in name} == expected


def test_every_folder_with_modules_is_a_package(wheel):
    folders = {Path(name).parent for name in wheel.namelist() if name.endswith(".py")}
    folders -= {Path("diptych/pipeline/examples")}  # scripts, not modules
    assert [str(f) for f in folders if f"{f}/__init__.py" not in wheel.namelist()] == []


def test_wheel_has_one_top_level_package(wheel, project):
    top_level = {name.partition("/")[0] for name in wheel.namelist()}
    assert top_level == {"diptych", f"diptych-{project['version']}.dist-info"}


def test_wheel_contains_license_types_and_command(wheel, project):
    info = f"diptych-{project['version']}.dist-info"
    assert b"Apache License" in wheel.read(f"{info}/licenses/LICENSE")
    assert "diptych/py.typed" in wheel.namelist()
    assert b"diptych = diptych.cli.main:main" in wheel.read(f"{info}/entry_points.txt")


def test_version_is_the_same_everywhere(project):
    import diptych

    assert diptych.__version__ == project["version"]


LOCKS = ["requirements.lock", "deploy/image-tools.lock"]


def lock_entries(lock="requirements.lock"):
    """Return one line per package of a lock, including its hashes."""
    text = (ROOT / lock).read_text(encoding="utf-8").replace("\\\n", " ")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_version_and_hashes(lock):
    entry = re.compile(r"[a-z0-9-]+==\S+( ; .+?)?( +--hash=sha256:[0-9a-f]{64})+")
    assert len(lock_entries(lock)) > 20
    assert [line[:60] for line in lock_entries(lock) if not entry.fullmatch(line)] == []


@pytest.mark.parametrize("file", [*LOCKS, "deploy/Dockerfile"])
def test_neither_the_locks_nor_the_dockerfile_contain_urls(file):
    assert "://" not in (ROOT / file).read_text(encoding="utf-8")


def test_every_dependency_is_locked(project):
    extras = project["optional-dependencies"].values()
    wanted = [*project["dependencies"], *(line for extra in extras for line in extra)]
    names = {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in wanted}
    assert names <= {line.partition("==")[0] for line in lock_entries()}


def test_build_requirements_are_locked():
    # make setup builds without isolation, so that only packages with a hash are installed
    build = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["build-system"]
    names = {re.match(r"[\w-]+", line)[0] for line in build["requires"]}
    assert names <= {line.partition("==")[0] for line in lock_entries()}
