#!/usr/bin/env bash
# Ensures that the base image exists. If it was not pulled, builds a substitute of the same name, for
# machines with access to a Debian archive but no image registry: Debian 13 with Python 3.11 from
# Debian 12, at the same path as in the official image.
set -euo pipefail

name=docker.io/library/python:3.11-slim-trixie
podman image exists "$name" && exit

# The archive that this machine uses.
archive=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -m1 '/debian/$') || {
    echo "base: the image $name is missing. Pull it, or run this on Debian to build a substitute." >&2
    exit 1
}
echo "base: building $name from $archive, takes 2 minutes" >&2
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
