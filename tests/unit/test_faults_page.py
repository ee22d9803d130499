"""The page of faults names tests that there are, and every file of the fault suite stands on it."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/faults.md").read_text(encoding="utf-8"))


def test_every_test_that_is_named_is_there() -> None:
    missing = [
        f"{file}::{name}"
        for file, name in NAMED
        if not re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert missing == []


def test_every_file_of_the_suite_is_named() -> None:
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests/faults").glob("test_*.py")}
    assert files <= {file for file, _ in NAMED}
