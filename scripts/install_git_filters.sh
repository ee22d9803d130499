#!/bin/sh
# Installs the programs that git passes files through in some tests, where it can; those tests are skipped otherwise.
set -eu
command -v git-lfs > /dev/null && command -v git-crypt > /dev/null && exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get > /dev/null; then
    echo "git-lfs and git-crypt are not installed: tests that need them are skipped." >&2
    exit 0
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends git-lfs git-crypt > /dev/null
