#!/usr/bin/env bash
# Makes .venv: the locked packages, relinked where the system is older than their wheels expect,
# and Diptych itself. Quick when nothing has changed; a set-up that was broken off starts over.
# Nothing outside this folder is written but uv's cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Two marks, each with the folder (scripts in .venv hold its name) and what it was made from.
whole=.venv/.diptych-packages # the packages are there to the last file
ready=.venv/.diptych-ready    # and nothing else is left to do

say() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    say "$*"
    exit 1
}

made_from() {
    pwd -P
    sha256sum "$@"
}
packages() { made_from requirements.lock; }
everything() { made_from requirements.lock pyproject.toml deploy/*.py deploy/setup.sh; }

is_marked() { [[ -x .venv/bin/python && -f $1 && "$(<"$1")" == "$("$2")" ]]; }

# Prefers 3.11, which TFX is tested with; uv runs what it finds before it believes it.
find_python() {
    local version
    for version in 3.11 3.12 3.13; do
        deploy/uv.sh python find --system --no-project --no-python-downloads "cpython@$version" \
            2>/dev/null && return
    done
    fail "no Python 3.11, 3.12 or 3.13 found. Install one, as with: apt install python3.11"
}

is_marked $ready everything && exit

[[ "$(uname -sm)" == "Linux x86_64" ]] || fail "TFX ships for Linux on x86_64 only," \
    "and this is $(uname -sm). Use such a machine, or a container."

exec 9<deploy/setup.sh
flock 9 # another set-up may be at work in this folder
is_marked $ready everything && exit

unset PYTHONDONTWRITEBYTECODE # without byte code, importing TFX takes half a minute each time
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
deploy/uv.sh --version >/dev/null # fetches it, where it is missing

if [[ ! -x .venv/bin/python || ! -f $whole || "$(head -n 1 $whole)" != "$(pwd -P)" ]]; then
    python=$(find_python)
    say "making .venv with $("$python" --version) ($python)"
    rm -rf .venv
    deploy/uv.sh venv --quiet --python "$python" .venv
fi
export VIRTUAL_ENV=$PWD/.venv

if ! is_marked $whole packages; then
    rm -f $whole
    say "installing requirements.lock: at first a gigabyte to download, then a minute to compile"
    # What comes as source is built with the locked setuptools. The platform is named, because
    # the wheels of ML Metadata are for a newer glibc than relink.py makes do with.
    deploy/uv.sh pip sync --require-hashes --build-constraints requirements.lock \
        --python-platform x86_64-manylinux_2_40 --compile-bytecode requirements.lock \
        2>&1 | sed -u '/^ [-+~] /d' >&2
    packages >$whole
fi

.venv/bin/python deploy/relink.py >&2
deploy/uv.sh pip install --quiet --no-deps --no-build-isolation --editable .

everything >$ready
say "ready"
