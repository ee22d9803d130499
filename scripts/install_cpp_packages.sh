#!/bin/sh
# Installs what client/cpp is built with, if any of it is missing. Root does so with apt-get; others are told how.
set -eu
packages="g++ make cmake pkg-config libgrpc++-dev protobuf-compiler-grpc libprotobuf-dev protobuf-compiler libssl-dev nlohmann-json3-dev"
# What they are needed for, looked up as the build does, so that other sources of the same are as good.
found() {
    for program in g++ make cmake pkg-config protoc grpc_cpp_plugin; do
        command -v "$program" > /dev/null || return
    done
    pkg-config --exists grpc++ protobuf libcrypto nlohmann_json
}
found && exit 0
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get > /dev/null; then
    echo "The C++ client needs packages that are missing. On Debian: apt-get install $packages" >&2
    exit 1
fi
echo "Installing the packages of the C++ client"
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $packages > /dev/null
