"""The page that documents the command agent's lines, held to the wrapper that writes them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from taskgrove_server.agents.command import WRAPPER

PAGE = (Path(__file__).parents[2] / "docs/command_agent.md").read_text(encoding="utf-8")

#: Each program with the lines that the page shows for it.
EXAMPLES = re.findall(r"```\n\$ (.+)\n((?:\{.+\}\n)+)```", PAGE)

PATIENCE = 60.0


def written(*program: str) -> str:
    """Returns what the wrapper writes; what the program leaves behind is ended with its session."""
    ended = subprocess.run(
        [sys.executable, "-I", "-S", str(WRAPPER), *program], capture_output=True, timeout=PATIENCE, check=False
    )
    return ended.stdout.decode()


def test_there_are_examples() -> None:
    assert len(EXAMPLES) == PAGE.count("```\n$ ")
    assert len(EXAMPLES) >= 6


@pytest.mark.parametrize(("script", "lines"), EXAMPLES)
def test_the_lines_of_an_example_are_those_that_are_written(script: str, lines: str) -> None:
    # Nothing may outlive the test; the wrapper does not wait for what the program leaves.
    script = script.replace("sleep 1000 &", "timeout 5 sleep 1000 &")
    assert written("/bin/sh", "-c", script) == lines


def test_the_keys_are_those_of_the_page_in_its_order() -> None:
    documented = re.findall(r"^\| `(output|exit)` \| `(\w+)` \|", PAGE, re.MULTILINE)
    assert {"output", "exit"} == {kind for kind, _ in documented}
    seen: set[tuple[str, str]] = set()
    shown = "".join(lines for _, lines in EXAMPLES) + written("/nowhere/program")
    for line in shown.splitlines():
        keys = re.findall(r'[{,]"(\w+)":', line)
        kind = re.match(r'\{"type":"(\w+)"', line)
        assert kind is not None
        pairs = [(kind[1], key) for key in keys]
        assert pairs == [pair for pair in documented if pair in pairs]
        seen.update(pairs)
    assert seen == set(documented)


def test_the_proto_leads_to_the_page() -> None:
    proto = Path(__file__).parents[2] / "protos/taskgrove/v1/run_config.proto"
    assert "docs/command_agent.md" in proto.read_text(encoding="utf-8")
