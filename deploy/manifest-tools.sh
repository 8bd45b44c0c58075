#!/usr/bin/env bash
# Installs the tools that check deploy/ and are not Python packages. Does nothing if they are
# installed; installs Debian packages if run as root; otherwise prints what to install.
set -euo pipefail

packages=()
command -v kubectl >/dev/null || packages+=(kubernetes-client) # 1.27 or newer
command -v promtool >/dev/null || packages+=(prometheus)
command -v systemd-analyze >/dev/null || packages+=(systemd)
[[ ${#packages[@]} -eq 0 ]] && exit

if [[ $EUID -ne 0 ]] || ! command -v apt-get >/dev/null; then
    echo "manifest-tools: kubectl, promtool or systemd-analyze is not on PATH." \
        "On Debian: apt install ${packages[*]}" >&2
    exit 1
fi
echo "manifest-tools: installing ${packages[*]}" >&2
apt-get -qq update
DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends "${packages[@]}" >/dev/null
