#!/usr/bin/env bash
# Installs Podman for the tests of the image, and mmdebstrap, which builds a base image if none can
# be pulled. Does nothing if all are installed; installs Debian packages if run as root; otherwise
# prints what to install.
set -euo pipefail

command -v podman >/dev/null && command -v runc >/dev/null && command -v mmdebstrap >/dev/null &&
    exit

packages=(podman runc netavark mmdebstrap)
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "podman: podman, runc or mmdebstrap is not on PATH." \
        "On Debian: apt install ${packages[*]}" >&2
    exit 1
fi
echo "podman: installing ${packages[*]}" >&2
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${packages[@]}" >/dev/null
