import colorsys
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parent))
from pages import ROOT

# `make setup` would create another environment in another folder; that of the tests is complete.
_MAKE = '#!/bin/sh\nexec /usr/bin/make -o setup "$@"\n'
# A service in the foreground ends when the user presses Ctrl-C, here 15 s after it has started.
_PRELUDE = """
set -euo pipefail
export PATH="$PWD/bin:$PATH"
. .venv/bin/activate
export PATH="$PWD/bin:$PATH"
diptych() {
    if [ "$1" != serve ]; then command diptych "$@"; return; fi
    command diptych "$@" & local server=$!
    curl --silent --fail --output answer --retry 60 --retry-all-errors --retry-delay 2 \
        http://127.0.0.1:8501/healthz
    sleep 15
    kill -INT "$server"
    wait "$server"
}
"""


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """Photos of six coloured things, twelve of each, in a folder per thing.

    Place and background are random, so that a model is better than the plain distance of pixels.
    """
    folder = tmp_path_factory.mktemp("photos")
    rng = np.random.default_rng(0)
    for number in range(6):
        (folder / f"thing{number}").mkdir()
        colour = colorsys.hsv_to_rgb(number / 6, 1, 1)
        for photo in range(12):
            pixels = rng.normal(rng.uniform(40, 215), 12, (24, 24, 3))
            top, left = rng.integers(0, 13, 2)
            pixels[top : top + 12, left : left + 12] = 255 * np.array(colour)
            image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
            image.save(folder / f"thing{number}" / f"{photo}.png")
    return folder


@pytest.fixture(scope="session")
def clone(photos, tmp_path_factory):
    """Folder that is like a clone of the repository, with `photos`; all pages run in it."""
    folder = tmp_path_factory.mktemp("clone")
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in listed.stdout.splitlines():
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for name in (".venv", ".tools"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "bin").mkdir()
    (folder / "bin" / "make").write_text(_MAKE)
    (folder / "bin" / "make").chmod(0o755)
    shutil.copytree(photos, folder / "photos")
    return folder


@pytest.fixture(scope="session")
def run_as_typed(clone):
    """Run the commands of a page in the clone, as a user would who reads one page after another."""

    def run(script):
        return subprocess.run(
            ["bash", "-c", _PRELUDE + script],
            cwd=clone,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=1500,
            check=False,
        )

    return run
