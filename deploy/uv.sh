#!/usr/bin/env bash
# Runs uv from PATH, or downloads it into .tools/ in this folder. Writes nothing outside this folder
# except the cache of uv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

version=0.13.9
wheel_sha256=d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19 # manylinux, x86_64
downloaded=$PWD/.tools/bin/uv

# All executables of a name on PATH: a pyenv shim may have no version, but the next one does.
all_on_path() { type -aP "$1" || true; }

# Old versions of uv do not support the platform of the TFX wheels.
supports_platform() { "$1" pip sync --help 2>/dev/null | grep -q x86_64-manylinux_2_40; }

find_uv() {
    local uv
    while read -r uv; do
        supports_platform "$uv" && echo "$uv" && return
    done < <(all_on_path uv)
    [[ "$("$downloaded" --version 2>/dev/null)" == "uv $version"* ]] && echo "$downloaded"
}

# Prints the first Python that succeeds with the given arguments.
find_python() {
    local name python
    for name in python3.11 python3.12 python3.13 python3 python; do
        while read -r python; do
            "$python" "$@" >/dev/null 2>&1 && echo "$python" && return
        done < <(all_on_path "$name")
    done
    return 1
}

download_uv() {
    local python pip
    echo "uv: downloading version $version into .tools/" >&2
    rm -rf .tools
    if python=$(find_python -c "import ensurepip, venv"); then
        "$python" -m venv .tools >&2 || return
        pip=(.tools/bin/python -m pip install)
    elif python=$(find_python -m pip --version); then
        # Python on Debian has no ensurepip without python3-venv; its pip can install into a folder.
        pip=("$python" -m pip install --target .tools)
    else
        echo "uv: not on PATH, and no Python with venv or pip found to download it." \
            "Install one of them, for example: apt install python3-venv" >&2
        return 1
    fi
    PIP_ROOT_USER_ACTION=ignore "${pip[@]}" --quiet --disable-pip-version-check --no-cache-dir \
        --require-hashes -r <(echo "uv==$version --hash=sha256:$wheel_sha256") >&2 || return
    echo "$downloaded"
}

# The system certificates include those of a company proxy; the certificates of uv do not.
if [[ -z ${SSL_CERT_FILE-} && -e /etc/ssl/certs/ca-certificates.crt ]]; then
    export UV_SYSTEM_CERTS=${UV_SYSTEM_CERTS-1}
fi

uv=$(find_uv || download_uv)
exec "$uv" "$@"
