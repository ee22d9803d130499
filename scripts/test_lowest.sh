#!/bin/sh
# Tests the installed package with the oldest versions that pyproject.toml allows of what it needs, in a venv of its own.
# Usage: test_lowest.sh PYTHON VENV [PYTEST_ARGUMENT]...
set -eu
cd "$(dirname "$0")/.."
python=$1
venv=$2
shift 2

"$python" -m venv "$venv"
# A floor that does not hold the others' is refused here: pip finds no way to install them together.
"$venv/bin/python" - > "$venv/requirements.txt" << 'END'
import tomllib

with open("pyproject.toml", "rb") as file:
    project = tomllib.load(file)["project"]
extras = project["optional-dependencies"]
for requirement in project["dependencies"] + extras["cli"] + extras["server"]:
    print(requirement.replace(">=", "=="))
END
grep -E '^(pytest(-[a-z]+)?|trustme)==' requirements/dev.txt >> "$venv/requirements.txt"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check -r "$venv/requirements.txt"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --force-reinstall .
exec "$venv/bin/python" -m pytest tests/acceptance/test_cli_tasks.py tests/acceptance/test_cli_review.py \
    tests/acceptance/test_tls.py "$@"
