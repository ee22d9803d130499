"""ARCHITECTURE.md names the rooms that there are, and draws the layers that import-linter holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_every_room_stands_in_the_tree_and_only_those() -> None:
    server = ROOT / "server" / "taskgrove_server"
    rooms = {path.parent.name for path in server.glob("*/__init__.py")}
    (tree,) = re.findall(r"^server/taskgrove_server/.*?(?=^tests/)", TEXT, re.MULTILINE | re.DOTALL)
    assert set(re.findall(r"^  (\w+)/ ", tree, re.MULTILINE)) == rooms


def test_the_layers_drawn_are_those_that_are_checked() -> None:
    (drawn,) = re.findall(r"^domain ◄.*$", TEXT, re.MULTILINE)
    layers = [{room.strip() for room in layer.split(",")} for layer in drawn.split("◄──")]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    checked = [
        {module.strip().removeprefix("taskgrove_server.") for module in layer.split("|")}
        for layer in reversed(project["tool"]["importlinter"]["contracts"][0]["layers"])
    ]
    beside = [{"settings", "ownership"}, {"__main__"}]
    assert [layer for layer in checked if layer not in beside] == layers
