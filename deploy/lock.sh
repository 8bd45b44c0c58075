#!/usr/bin/env bash
# Updates requirements.lock and the locks of tools in deploy/ to the newest versions that
# pyproject.toml and the .in files allow, for Python 3.11 to 3.13.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

new=$(mktemp requirements.lock.XXXXXX)
trap 'rm -f "$new"' EXIT

# Arguments: the lock, then the arguments of uv.
update() {
    {
        echo "# Every package with its hashes, and no addresses. Made by \`make lock\`; do not edit."
        deploy/uv.sh pip compile --quiet --universal --python-version 3.11 --generate-hashes \
            --no-annotate --no-header --no-emit-index-url --no-emit-find-links \
            --upgrade "${@:2}"
    } >"$new"

    # User settings may name an index, and a dependency may be specified by its URL.
    if grep -nE '://|^-' "$new" >&2; then
        echo "lock: the lines above contain a URL or an option; $1 was not changed" >&2
        exit 1
    fi
    chmod 644 "$new"
    mv "$new" "$1"
    echo "lock: $(grep -c '^[a-z]' "$1") packages in $1"
}

update requirements.lock --all-extras pyproject.toml
update deploy/image-tools.lock deploy/image-tools.in
update deploy/manifest-tools.lock deploy/manifest-tools.in
update deploy/docs-tools.lock deploy/docs-tools.in
update deploy/fuzz-tools.lock deploy/fuzz-tools.in
update deploy/audit-tools.lock deploy/audit-tools.in
