#!/usr/bin/env bash
# Renews requirements.lock and the locks of tools in deploy/: the newest versions that
# pyproject.toml and the .in files allow, for Python 3.11 to 3.13.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

new=$(mktemp requirements.lock.XXXXXX)
trap 'rm -f "$new"' EXIT

# The lock, then what uv is given.
renew() {
    {
        echo "# Every package with its hashes, and no addresses. Made by \`make lock\`; do not edit."
        deploy/uv.sh pip compile --quiet --universal --python-version 3.11 --generate-hashes \
            --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
            --upgrade "${@:2}"
    } >"$new"

    # A user's settings may name an index, and a dependency may be given by its address.
    if grep -nE '://|^-' "$new" >&2; then
        echo "lock: an address or an option in the lines above; $1 is left as it was" >&2
        exit 1
    fi
    chmod 644 "$new"
    mv "$new" "$1"
    echo "lock: $(grep -c '^[a-z]' "$1") packages in $1"
}

renew requirements.lock --all-extras pyproject.toml
renew deploy/image-tools.lock deploy/image-tools.in
renew deploy/manifest-tools.lock deploy/manifest-tools.in
