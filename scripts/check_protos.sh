#!/bin/sh
# Holds the protos to buf's rules and to the API of the last release, and the committed stubs to the protos.
set -eu
cd "$(dirname "$0")/.."
buf lint
buf format -d --exit-code
buf breaking --against protos/release.binpb
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
scripts/generate_stubs.sh "$fresh"
cp client/taskgrove/v1/__init__.py "$fresh/client/taskgrove/v1/"
diff -r -x __pycache__ client/taskgrove/v1 "$fresh/client/taskgrove/v1" || {
    echo "The stubs differ from the protos: run 'make stubs' and commit the result." >&2
    exit 1
}
