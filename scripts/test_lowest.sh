#!/bin/sh
# Tests the installed package with the oldest versions that pyproject.toml allows of what it needs, in a venv of its own.
# Usage: test_lowest.sh PYTHON VENV [PYTEST_ARGUMENT]...
set -eu
cd "$(dirname "$0")/.."
python=$1
venv=$2
shift 2

scripts/environment.sh "$python" "$venv"
floors=$(mktemp)
trap 'rm -f "$floors"' EXIT
# A floor that does not hold the others' is refused by pip, which finds no way to install them together.
"$venv/bin/python" - > "$floors" << 'END'
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = project["optional-dependencies"]
for requirement in project["dependencies"] + extras["cli"] + extras["server"]:
    print(requirement.replace(">=", "=="))
END
grep -E '^(pytest(-[a-z]+)?|trustme)==' requirements/dev.txt >> "$floors"
scripts/environment.sh "$python" "$venv" "-r $floors" "--no-deps --force-reinstall ."
"$venv/bin/python" -m pytest tests/acceptance/test_cli_tasks.py tests/acceptance/test_cli_review.py \
    tests/acceptance/test_tls.py "$@"
