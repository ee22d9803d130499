#!/bin/sh
# Makes a virtual environment, and says what this machine lacks for it: see environment.py, which a Python has to read.
# Usage: environment.sh PYTHON VENV PIP_INSTALL_ARGUMENTS...
set -eu
python=$1
shift

if ! command -v "$python" > /dev/null; then
    packages="python3 python3-venv"
    command -v git > /dev/null || packages="git $packages"
    echo "Taskgrove needs Python 3.11 or newer, and there is no '$python' on PATH. Where there is one under another" >&2
    echo "name, give it: make PYTHON=... Else install it; on Debian and Ubuntu, as root: apt install $packages" >&2
    exit 1
fi
exec "$python" "$(dirname "$0")/environment.py" "$@"
