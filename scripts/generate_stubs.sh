#!/bin/sh
# Regenerates the Python stubs under OUT (default: client) from the protos. The output is byte-stable.
set -eu
cd "$(dirname "$0")/.."
buf generate -o "${1:-.}"
# Files without a service get an empty stub from the typing plugin.
for file in "${1:-.}"/client/taskgrove/v1/*_pb2_grpc.pyi; do
    [ -e "${file%i}" ] || rm "$file"
done
