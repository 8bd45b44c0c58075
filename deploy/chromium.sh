#!/usr/bin/env bash
# Sees to Chromium and its driver, for the tests of pages in a real browser. Does nothing where
# both are there; installs Debian's packages when run as root; else says what to install.
set -euo pipefail

command -v chromium >/dev/null && command -v chromedriver >/dev/null && exit

packages=(chromium chromium-driver)
if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "chromium: needed are chromium and chromedriver on PATH." \
        "On Debian: apt install ${packages[*]}" >&2
    exit 1
fi
echo "chromium: installing ${packages[*]}" >&2
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${packages[@]}" >/dev/null
