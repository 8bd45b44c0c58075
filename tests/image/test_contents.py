"""Content of the image."""

import json
import re
import subprocess

from containers import IMAGE, ROOT, run_in_image

import diptych

LOCK = ROOT / "requirements.lock"
SBOM = ROOT / f"dist/diptych-{diptych.__version__}-sbom.json"
TOOLS = ROOT / ".tools/image/bin/python"


def python_in_image(program, **kwargs):
    return json.loads(run_in_image("-c", program, entrypoint="python", **kwargs))


def installed():
    """Return name and version of each package that Python in the image finds."""
    packages = python_in_image(
        "import json, importlib.metadata as m\n"
        "print(json.dumps([[d.metadata['Name'], d.version] for d in m.distributions()]))"
    )
    return {(re.sub(r"[-_.]+", "-", name).lower(), version) for name, version in packages}


def test_every_package_is_locked():
    locked = set(re.findall(r"^([a-z0-9-]+)==([^\s;]+)", LOCK.read_text(), re.MULTILINE))
    assert installed() - locked == {("diptych", diptych.__version__)}


def test_development_packages_are_not_installed():
    names = {name for name, _ in installed()}
    assert {"tfx", "ray", "keras", "apache-beam", "kfp"} <= names
    assert (
        names & {"pip", "uv", "pytest", "hypothesis", "mypy", "ruff", "mlxtend", "build"} == set()
    )


def test_bill_of_materials_lists_every_package_and_is_valid():
    text = SBOM.read_text()
    bill = json.loads(text)
    parts = [*bill["components"], bill["metadata"]["component"]]
    listed = {(re.sub(r"[-_.]+", "-", p["name"]).lower(), p["version"]) for p in parts}
    assert listed == installed()
    program = (
        "import sys\n"
        "from cyclonedx.schema import SchemaVersion\n"
        "from cyclonedx.validation.json import JsonStrictValidator\n"
        "version = SchemaVersion.from_version(sys.argv[1])\n"
        "print(JsonStrictValidator(version).validate_str(sys.stdin.read()))"
    )
    result = subprocess.run(
        [TOOLS, "-c", program, bill["specVersion"]],
        input=text,
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == "None\n"


def test_the_user_can_write_only_to_world_writable_folders_and_the_working_directory():
    # a container whose root file system is not read-only
    found = python_in_image(
        "import json, os\n"
        "found = []\n"
        "for folder, folders, files in os.walk('/'):\n"
        "    for path in [os.path.join(folder, name) for name in [*folders, *files]]:\n"
        "        if not os.path.islink(path) and os.access(path, os.W_OK):\n"
        "            found.append(path)\n"
        "    folders[:] = [n for n in folders if os.path.join(folder, n) not in "
        "('/proc', '/sys', '/dev')]\n"
        "print(json.dumps([os.getuid(), found]))",
        read_only=False,
    )
    assert found[0] == 10001
    assert set(found[1]) <= {"/tmp", "/var/tmp", "/run/lock", "/diptych"}


def test_no_build_files_remain():
    found = python_in_image(
        "import json, os\n"
        "names = [os.path.join(f, n) for f, fs, ns in os.walk('/', followlinks=False)\n"
        "         if not f.startswith(('/proc', '/sys', '/dev')) for n in [*fs, *ns]]\n"
        "print(json.dumps(names))"
    )
    assert "/opt/diptych/bin/diptych" in found
    name = re.compile(r"/(build|pip\.conf|uv.*\.lock|uvx?|\.tools|\.lock|[^/]*\.whl)$")
    own = [path for path in found if not path.startswith(("/usr/", "/opt/diptych/lib/"))]
    assert [path for path in own if name.search(path)] == []
    inspected = subprocess.run(
        ["podman", "image", "inspect", IMAGE], capture_output=True, text=True, check=True
    )
    (image,) = json.loads(inspected.stdout)
    assert {line.partition("=")[0] for line in image["Config"]["Env"]} <= {
        *("HOME", "PATH", "PYTHONUNBUFFERED", "USER"),
        *("GPG_KEY", "LANG", "PYTHON_VERSION", "PYTHON_SHA256"),  # of the official base
    }


def test_labels_have_version_license_and_revision():
    inspected = subprocess.run(
        ["podman", "image", "inspect", IMAGE], capture_output=True, text=True, check=True
    )
    (image,) = json.loads(inspected.stdout)
    print(f"{IMAGE}: {image['Size'] / 1e9:.2f} GB")
    labels = image["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == diptych.__version__
    assert labels["org.opencontainers.image.licenses"] == "Apache-2.0"
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])
