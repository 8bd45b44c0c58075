#!/usr/bin/env bash
# Sees to the base image. Where nobody has pulled it, a stand-in takes its name, for machines that
# reach Debian's archive, but no registry of images: Debian 13 with Python 3.11 from Debian 12, at
# the place where the official image has it.
set -euo pipefail

name=docker.io/library/python:3.11-slim-trixie
podman image exists "$name" && exit

# The archive that this machine installs from.
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/$') || {
    echo "base: pull $name, or run this on Debian, where it can be made" >&2
    exit 1
}
echo "base: making $name from $archive, 2 minutes" >&2
mmdebstrap --quiet --variant=minbase --include=python3.11,python3-pip-whl,ca-certificates \
    --dpkgopt='path-exclude=/usr/share/doc/*' \
    --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook='for name in python python3 python3.11; do
        ln -s /usr/bin/python3.11 "$1/usr/local/bin/$name"; done' \
    --customize-hook='chroot "$1" sh -c "python -m zipfile -e /usr/share/python-wheels/pip-*.whl \
        /usr/local/lib/python3.11/dist-packages"' \
    trixie - "deb $archive trixie main" "deb $archive bookworm main" |
    podman import --quiet - "$name" >/dev/null
