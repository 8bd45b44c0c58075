#!/usr/bin/env bash
# Sees to the programs that check deploy/, and are no Python packages. Does nothing where they are
# there; installs Debian's packages when run as root; else says what to install.
set -euo pipefail

packages=()
command -v kubectl >/dev/null || packages+=(kubernetes-client) # 1.27 or newer
command -v promtool >/dev/null || packages+=(prometheus)
command -v systemd-analyze >/dev/null || packages+=(systemd)
[[ ${#packages[@]} -eq 0 ]] && exit

if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "manifest-tools: needed are kubectl, promtool and systemd-analyze on PATH." \
        "On Debian: apt install ${packages[*]}" >&2
    exit 1
fi
echo "manifest-tools: installing ${packages[*]}" >&2
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${packages[@]}" >/dev/null
