#!/usr/bin/env bash
# Creates .venv with the locked packages and Diptych, and relinks the packages if glibc is older than
# their wheels expect. Fast if nothing has changed; an interrupted setup starts again. Writes nothing
# outside this folder except the cache of uv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Two stamp files with this folder (scripts in .venv contain its path) and the hashes of the inputs.
installed=.venv/.diptych-packages # all packages are installed
ready=.venv/.diptych-ready        # the setup is complete

log() { printf 'setup: %s\n' "$*" >&2; }
fail() {
    log "$*"
    exit 1
}

hash_inputs() {
    pwd -P
    sha256sum "$@"
}
package_inputs() { hash_inputs requirements.lock; }
all_inputs() { hash_inputs requirements.lock pyproject.toml deploy/*.py deploy/setup.sh; }

is_current() { [[ -x .venv/bin/python && -f $1 && "$(<"$1")" == "$("$2")" ]]; }

# Prefers 3.11, which TFX is tested with. uv runs each Python that it finds to verify it.
find_python() {
    local version
    for version in 3.11 3.12 3.13; do
        deploy/uv.sh python find --system --no-project --no-python-downloads "cpython@$version" \
            2>/dev/null && return
    done
    fail "no Python 3.11, 3.12 or 3.13 found. Install one, for example: apt install python3.11"
}

is_current $ready all_inputs && exit

[[ "$(uname -sm)" == "Linux x86_64" ]] || fail "TFX supports only Linux on x86_64," \
    "got $(uname -sm). Use such a machine or a container."

exec 9<deploy/setup.sh
flock 9 # another setup may be running in this folder
is_current $ready all_inputs && exit

unset PYTHONDONTWRITEBYTECODE # without bytecode, each import of TFX takes half a minute
unset PYTHONPATH PYTHONHOME VIRTUAL_ENV
deploy/uv.sh --version >/dev/null # downloads uv if it is missing

if [[ ! -x .venv/bin/python || ! -f $installed || "$(head -n 1 $installed)" != "$(pwd -P)" ]]; then
    python=$(find_python)
    log "creating .venv with $("$python" --version) ($python)"
    rm -rf .venv
    deploy/uv.sh venv --quiet --python "$python" .venv
fi
export VIRTUAL_ENV=$PWD/.venv

if ! is_current $installed package_inputs; then
    rm -f $installed
    log "installing requirements.lock: the first time, downloads 1 GB and compiles for a minute"
    # Source packages are built with the locked setuptools. The platform is explicit because the
    # wheels of ML Metadata are for a newer glibc; relink.py adapts them.
    deploy/uv.sh pip sync --require-hashes --build-constraints requirements.lock \
        --python-platform x86_64-manylinux_2_40 --compile-bytecode requirements.lock \
        2>&1 | sed -u '/^ [-+~] /d' >&2
    package_inputs >$installed
fi

.venv/bin/python deploy/relink.py >&2
deploy/uv.sh pip install --quiet --no-deps --no-build-isolation --editable .

all_inputs >$ready
log "ready"
