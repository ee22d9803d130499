"""Directories are removed whatever rights tools have taken from them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: Without these rights root is refused like anybody else.
_NOBODY_SPECIAL = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all")


def test_what_is_read_only_or_shut_is_removed(tmp_path: Path) -> None:
    top = tmp_path / "worktree"
    for name in ("read-only", "shut", "shut/inner"):
        (top / name).mkdir(parents=True)
        (top / name / "file").touch()
    outside = tmp_path / "outside"
    outside.mkdir(mode=0o500)
    (top / "link").symlink_to(outside)
    for name, mode in (("read-only", 0o555), ("shut/inner", 0o500), ("shut", 0o000), ("", 0o555)):
        (top / name).chmod(mode)
    prefix = _NOBODY_SPECIAL if os.geteuid() == 0 else ()
    program = "import sys; from taskgrove_server.worktrees import removing; removing.remove(sys.argv[1])"
    subprocess.run([*prefix, sys.executable, "-c", program, str(top)], check=True, timeout=60)
    assert not top.exists()
    assert outside.stat().st_mode & 0o777 == 0o500
