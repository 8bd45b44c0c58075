#!/usr/bin/env bash
# Sees to Podman, and to mmdebstrap, which makes a base image where none can be pulled, for the
# tests of the image. Does nothing where all are there; installs Debian's packages when run as root;
# else says what to install.
set -euo pipefail

command -v podman >/dev/null && command -v runc >/dev/null && command -v mmdebstrap >/dev/null &&
    exit

packages=(podman runc netavark mmdebstrap)
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "podman: needed are podman, runc and mmdebstrap on PATH." \
        "On Debian: apt install ${packages[*]}" >&2
    exit 1
fi
echo "podman: installing ${packages[*]}" >&2
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${packages[@]}" >/dev/null
