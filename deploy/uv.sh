#!/usr/bin/env bash
# Runs uv: the one on PATH, or one that it fetches into .tools/ inside this folder.
# Nothing outside this folder is written but uv's cache.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.13.9
wheel_sha256=d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19 # manylinux, x86_64
own=$PWD/.tools/bin/uv

# Every executable of that name on PATH: a pyenv shim may have no version behind it, the next does.
all_on_path() { type -aP "$1" || true; }

# Old versions of uv do not know the platform that the TFX wheels are for.
knows_platform() { "$1" pip sync --help 2>/dev/null | grep -q x86_64-manylinux_2_40; }

find_uv() {
    local uv
    while read -r uv; do
        knows_platform "$uv" && echo "$uv" && return
    done < <(all_on_path uv)
    [[ "$("$own" --version 2>/dev/null)" == "uv $version"* ]] && echo "$own"
}

# The first Python that runs those arguments.
find_python() {
    local name python
    for name in python3.11 python3.12 python3.13 python3 python; do
        while read -r python; do
            "$python" "$@" >/dev/null 2>&1 && echo "$python" && return
        done < <(all_on_path "$name")
    done
    return 1
}

fetch_uv() {
    local python pip
    echo "uv: fetching version $version into .tools/" >&2
    rm -rf .tools
    if python=$(find_python -c "import ensurepip, venv"); then
        "$python" -m venv .tools >&2 || return
        pip=(.tools/bin/python -m pip install)
    elif python=$(find_python -m pip --version); then
        # Debian's Python has no ensurepip before python3-venv is installed; its pip may write here.
        pip=("$python" -m pip install --target .tools)
    else
        echo "uv: not on PATH, and no Python with venv or pip that could fetch it." \
            "Install one of them, as with: apt install python3-venv" >&2
        return 1
    fi
    PIP_ROOT_USER_ACTION=ignore "${pip[@]}" --quiet --disable-pip-version-check --no-cache-dir \
        --require-hashes -r <(echo "uv==$version --hash=sha256:$wheel_sha256") >&2 || return
    echo "$own"
}

# The system's certificates include those of a company's proxy; uv's own do not.
if [[ -z ${SSL_CERT_FILE-} && -e /etc/ssl/certs/ca-certificates.crt ]]; then
    export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS-1}
fi

uv=$(find_uv || fetch_uv)
exec "$uv" "$@"
