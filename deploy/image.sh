#!/usr/bin/env bash
# Builds the image diptych:VERSION from the wheel in dist/, and writes its bill of materials to
# dist/diptych-VERSION-sbom.json. BUILDER is docker or podman (default: the first that works).
# Arguments are passed to the build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wheels=(dist/diptych-*.whl)
if [[ ${#wheels[@]} -ne 1 || ! -f ${wheels[0]} ]]; then
    echo "image: expected one wheel in dist/, got: ${wheels[*]}. Run make build first." >&2
    exit 1
fi
version=$(cut -d - -f 2 <<<"${wheels[0]}")

builder=${BUILDER-}
if [[ -z $builder ]]; then
    # The docker command may be installed without its service or its builder.
    if docker info >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; then
        builder=docker
    elif podman info >/dev/null 2>&1; then
        builder=podman
    else
        echo "image: neither docker with buildx nor podman works. Install one of them." >&2
        exit 1
    fi
fi

# Settings and certificates that this machine needs to access the package index, for example behind
# a company proxy. They are mounted only while packages are installed.
secrets=()
add_secret() { if [[ -f ${2-} ]]; then secrets+=(--secret "id=$1,src=$2"); fi; }
add_secret pip.conf "${PIP_CONFIG_FILE-}"
add_secret uv.toml "${UV_CONFIG_FILE-}"
add_secret ca "${SSL_CERT_FILE-/etc/ssl/certs/ca-certificates.crt}"

"$builder" build "${secrets[@]}" --file deploy/Dockerfile \
    --build-arg VERSION="$version" \
    --build-arg REVISION="$(git describe --always --dirty --abbrev=40 --exclude '*' 2>/dev/null)" \
    --tag "diptych:$version" "$@" .

container=$("$builder" create "diptych:$version")
trap '"$builder" rm "$container" >/dev/null' EXIT
"$builder" cp "$container:/opt/diptych/share/diptych/sbom.json" "dist/diptych-$version-sbom.json"
echo "image: diptych:$version," \
    "$("$builder" image inspect --format '{{.Size}}' "diptych:$version" | numfmt --to=si)B"
