#!/usr/bin/env bash
# Installs Chromium and its driver, for the browser tests. Does nothing if both are installed;
# installs Debian packages if run as root; otherwise prints what to install.
set -euo pipefail

command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit

packages=(chromium chromium-driver)
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "chromium: chromium or chromedriver is not on PATH." \
        "On Debian: apt install ${packages[*]}" >&2
    exit 1
fi
echo "chromium: installing ${packages[*]}" >&2
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${packages[@]}" >/dev/null
