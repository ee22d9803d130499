"""The pager: which one, and what happens when a person leaves it early."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from taskgrove.cli import exits, paging


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "on_terminal", lambda: True)


@pytest.mark.parametrize(
    ("environment", "pager"),
    [
        ({"TASKGROVE_PAGER": "most", "PAGER": "more"}, "most"),
        ({"PAGER": "more -d"}, "more -d"),
        ({"PAGER": "cat"}, None),
        ({"TASKGROVE_PAGER": "", "PAGER": "more"}, None),
    ],
)
def test_the_pager_is_the_users(environment: dict[str, str], pager: str | None) -> None:
    assert paging.program(environment) == pager


def test_without_one_it_is_less_if_there_is_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert paging.program({}) is None
    (tmp_path / "less").touch(mode=0o755)
    assert paging.program({}) == "less -FRX"


def test_what_is_written_reaches_the_pager(terminal: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKGROVE_PAGER", f"cat > '{tmp_path}/paged'; printf %s \"$LESS\" > '{tmp_path}/less'")
    monkeypatch.delenv("LESS", raising=False)
    with paging.paged() as out:
        out.write(b"one\n")
    assert (tmp_path / "paged").read_bytes() == b"one\n"
    assert (tmp_path / "less").read_text() == "FRX"


def test_leaving_the_pager_early_is_no_error(terminal: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKGROVE_PAGER", "true")
    before = signal.getsignal(signal.SIGINT)
    with paging.paged() as out:
        while True:
            out.write(b"x" * 65536)
    assert signal.getsignal(signal.SIGINT) is before


def test_a_pager_that_is_not_there_is_named(terminal: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKGROVE_PAGER", "no-such-pager --flag")
    with pytest.raises(exits.Refused, match="'no-such-pager --flag' was not found"), paging.paged() as out:
        out.write(b"one\n")


def test_without_a_terminal_there_is_no_pager(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    monkeypatch.setenv("TASKGROVE_PAGER", "false")
    with paging.paged() as out:
        assert out is sys.stdout.buffer
        out.write(b"one\n")
    assert capfdbinary.readouterr().out == b"one\n"
