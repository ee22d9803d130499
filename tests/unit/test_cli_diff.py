"""What `diff` writes, for a program and for a person at a terminal."""

from __future__ import annotations

import json
from typing import Any

import pytest

from support.cli_stand_in import ID, StandIn, invoke
from taskgrove import diffs
from taskgrove.cli import exits, output, paging
from taskgrove.cli.rendering import patch
from taskgrove.v1 import change_pb2

ChangedFile = change_pb2.ChangedFile

PATCH = (
    b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,2 @@ def \x1b[31mf():\n"
    b" same\n-old\n+new\x1b]0;title\x07\r-posing\n+latin \xe9\n\\ No newline at end of file\n"
)


def a_file(path: str, **fields: Any) -> ChangedFile:
    return ChangedFile(path=path, kind=ChangedFile.KIND_MODIFIED, insertions=1, deletions=1, **fields)


@pytest.fixture(autouse=True)
def no_pager(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TASKGROVE_PAGER", "cat")


@pytest.fixture
def on_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paging, "on_terminal", lambda: True)


@pytest.fixture
def work(stand_in: StandIn) -> StandIn:
    stand_in.diff = [diffs.Summary(files=1), diffs.FileDiff(a_file("x"), PATCH)]
    stand_in.files = [a_file("x"), a_file("a\nb\x1b[2J", raw_path=b"a\nb\xff")]
    return stand_in


def test_a_program_gets_the_bytes_of_git(work: StandIn) -> None:
    assert invoke("diff", ID).stdout_bytes == PATCH


def test_a_terminal_gets_colours_and_nothing_that_it_would_obey(work: StandIn, on_terminal: None) -> None:
    shown = invoke("diff", ID).stdout
    for line in (
        "\x1b[1mdiff --git a/x b/x\x1b[m",
        "\x1b[1m--- a/x\x1b[m",
        "\x1b[36m@@ -1,2 +1,2 @@\x1b[m def ␛[31mf():",
        " same",
        "\x1b[31m-old\x1b[m",
        "\x1b[32m+new␛]0;title␇␍-posing\x1b[m",
        "\x1b[32m+latin �\x1b[m",
        "\\ No newline at end of file",
    ):
        assert f"{line}\n" in shown
    assert len(shown.splitlines()) == len(PATCH.split(b"\n")) - 1


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colours_gets_none_and_stays_safe(
    work: StandIn, on_terminal: None, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    shown = invoke("diff", ID).stdout
    assert "\x1b" not in shown
    assert "+new␛]0;title␇␍-posing\n" in shown
    assert "\x1b[1m" in invoke("diff", ID, "--color", "always").stdout


def test_colours_for_a_pipe_are_safe_too(work: StandIn) -> None:
    shown = invoke("diff", ID, "--color", "always").stdout
    assert "\x1b[31m-old\x1b[m\n" in shown
    assert "\x1b]0;" not in shown


def test_every_option_reaches_the_server(work: StandIn) -> None:
    invoke("diff", ID, "src", "--against", "release", "--committed", "-U", "7", "--max-patch-bytes", "99")
    [(_, wanted)] = work.asked("iterate_diff")
    assert wanted == {
        "target_branch": "release",
        "committed_only": True,
        "paths": ("src",),
        "context_lines": 7,
        "max_patch_bytes": 99,
    }


def test_what_was_cut_is_told_with_the_way_to_see_it(stand_in: StandIn) -> None:
    stand_in.diff = [diffs.FileDiff(a_file("a b"), PATCH, truncated=True)]
    result = invoke("diff", ID)
    assert result.exit_code == exits.SUCCEEDED
    assert result.stderr == (
        "The patch of a b was cut after 1048576 bytes. To see it whole: "
        f"taskgrove diff {ID} --max-patch-bytes 67108864 -- 'a b'\n"
    )


def test_names_are_raw_for_a_program_and_safe_for_a_person(work: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    assert invoke("diff", ID, "--name-only").stdout_bytes == b"x\na\nb\xff\n"
    monkeypatch.setattr(paging, "on_terminal", lambda: True)
    assert invoke("diff", ID, "--name-only").stdout == "x\na␊b␛[2J\n"
    assert "\x1b[2J" not in invoke("diff", ID, "--stat").stdout


def test_json_is_one_object_a_file(work: StandIn) -> None:
    first = json.loads(invoke("diff", ID, "--json").stdout.splitlines()[0])
    assert (first["path"], first["kind"], first["binary"]) == ("x", "KIND_MODIFIED", False)


def test_forms_exclude_each_other(work: StandIn) -> None:
    assert invoke("diff", ID, "--stat", "--json").exit_code == exits.USAGE
    assert not work.requests


def test_statistics_have_bars_and_totals() -> None:
    files = [
        ChangedFile(path="large", insertions=900, deletions=100),
        ChangedFile(path="small", insertions=1, kind=ChangedFile.KIND_ADDED),
        ChangedFile(path="b", old_path="a", kind=ChangedFile.KIND_RENAMED),
        ChangedFile(path="picture", binary=True, kind=ChangedFile.KIND_DELETED),
    ]
    lines = b"".join(patch.statistics(files, colour=False)).decode().splitlines()
    assert lines == [
        f" large   | 1000 {'+' * 36}{'-' * 4}",
        " small   |    1 + (new)",
        " a => b  |    0",
        " picture |  Bin (gone)",
        " 4 files changed, 901 insertions(+), 100 deletions(-)",
    ]
    assert b"".join(patch.statistics([], colour=True)) == b" 0 files changed, 0 insertions(+)\n"


@pytest.mark.parametrize(
    "file",
    [
        ChangedFile(),
        ChangedFile(path="a\u2028b", raw_path=b"\xff\xfe", kind=ChangedFile.KIND_ADDED, binary=True),
        ChangedFile(
            path="new",
            old_path="old",
            kind=ChangedFile.KIND_RENAMED,
            insertions=3,
            deletions=2,
            old_mode="100644",
            mode="100755",
        ),
        ChangedFile.FromString(b"\x20\x63"),  # of a kind that a later server knows
    ],
)
def test_a_changed_file_is_printed_as_protobuf_has_it(file: ChangedFile) -> None:
    assert output.file_as_dict(file) == output.as_dict(file, zeros=True)
