#!/usr/bin/env bash
# Builds the image diptych:VERSION from the wheel in dist/, and writes what it holds to
# dist/diptych-VERSION-sbom.json. BUILDER is docker or podman; unset, it is the first that answers.
# Arguments go to the build.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wheels=(dist/diptych-*.whl)
if [[ ${#wheels[@]} -ne 1 || ! -f ${wheels[0]} ]]; then
    echo "image: needed is one wheel in dist/, got: ${wheels[*]}. Run make build first." >&2
    exit 1
fi
version=$(cut -d - -f 2 <<<"${wheels[0]}")

builder=${BUILDER-}
if [[ -z $builder ]]; then
    # Docker's command may be there without its service, or without its builder.
    if docker info >/dev/null 2>&1 && docker buildx version >/dev/null 2>&1; then
        builder=docker
    elif podman info >/dev/null 2>&1; then
        builder=podman
    else
        echo "image: needed is docker with buildx, or podman, and neither answers." >&2
        exit 1
    fi
fi

# What reaches the package index on this machine: the tools' own settings, and the certificates,
# which include those of a company's proxy. They are mounted while packages are installed.
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
