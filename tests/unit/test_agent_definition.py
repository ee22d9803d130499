"""Agent definitions: what they mean, and why they are refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from taskgrove_server.agents import agent_definition
from taskgrove_server.agents.agent import LaunchRefused
from taskgrove_server.agents.agent_definition import AgentDefinition
from taskgrove_server.domain.failures import FailureKind


def read(tmp_path: Path, text: str | bytes) -> AgentDefinition:
    path = tmp_path / "agent.md"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return agent_definition.read(str(path), None)


def refusal(tmp_path: Path, text: str | bytes) -> str:
    with pytest.raises(LaunchRefused) as refused:
        read(tmp_path, text)
    assert refused.value.failure.kind is FailureKind.INVALID_CONFIG
    assert str(tmp_path / "agent.md") in refused.value.failure.message
    return refused.value.failure.message


def test_all_that_a_definition_says_is_read(tmp_path: Path) -> None:
    text = (
        "---\nname: code-reviewer\ndescription: Reviews code\ntools: Read, Bash(git log, git diff) , Grep\n"
        "disallowedTools: [Write]\nmodel: opus\ncolor: red\n---\n\nYou review code.\n\n---\n\nBe kind.\n"
    )
    assert read(tmp_path, text) == AgentDefinition(
        name="code-reviewer",
        description="Reviews code",
        prompt="You review code.\n\n---\n\nBe kind.",
        tools=("Read", "Bash(git log, git diff)", "Grep"),
        disallowed_tools=("Write",),
        model="opus",
    )


def test_what_is_left_out_is_left_open(tmp_path: Path) -> None:
    assert read(tmp_path, "---\nname: a\n---\nYou.") == AgentDefinition(name="a", description="a", prompt="You.")


def test_tools_may_be_a_list_and_an_empty_one_means_none(tmp_path: Path) -> None:
    assert read(tmp_path, "---\nname: a\ntools:\n- Read\n- Edit\n---\nYou.").tools == ("Read", "Edit")
    assert read(tmp_path, "---\nname: a\ntools: []\n---\nYou.").tools == ()


def test_an_inherited_model_is_left_open(tmp_path: Path) -> None:
    assert read(tmp_path, "---\nname: a\nmodel: inherit\n---\nYou.").model is None


def test_a_file_from_windows_is_read_as_well(tmp_path: Path) -> None:
    assert read(tmp_path, b"\xef\xbb\xbf---\r\nname: a\r\n---\r\nYou\r\nthere.\r\n").prompt == "You\nthere."


@pytest.mark.parametrize("escape", ["../outside.md", "link.md"])
def test_a_relative_path_does_not_lead_out_of_the_repository(tmp_path: Path, escape: str) -> None:
    (tmp_path / "outside.md").write_text("---\nname: outsider\n---\nYou are outside.\n")
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "link.md").symlink_to("../outside.md")
    with pytest.raises(LaunchRefused, match="outside the repository"):
        agent_definition.read(escape, str(repository))


def test_a_relative_path_starts_at_the_working_directory(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text("---\nname: a\n---\nYou.")
    assert agent_definition.read("a.md", str(tmp_path)).name == "a"
    assert agent_definition.read(str(tmp_path / "a.md"), "/elsewhere").name == "a"
    with pytest.raises(LaunchRefused, match="use an absolute one"):
        agent_definition.read("a.md", None)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("You are an agent.", "does not start with YAML front matter"),
        ("---\nname: a\nYou.", "does not start with YAML front matter"),
        ("---\nname: [a\n---\nYou.", "not valid YAML"),
        ('---\nname: !!int ""\n---\nYou.', "not valid YAML"),
        ("---\nname: !!python/name:os.system\n---\nYou.", "not valid YAML"),
        ("---\n- name\n---\nYou.", "not a mapping"),
        ("---\ndescription: d\n---\nYou.", "has no `name`"),
        ("---\nname: ' '\n---\nYou.", "has no `name`"),
        ("---\nname: 7\n---\nYou.", "`name` in its front matter is not a text"),
        ("---\nname: --resume\n---\nYou.", "is not 1 to 64 letters"),
        ("---\nname: a b\n---\nYou.", "is not 1 to 64 letters"),
        (f"---\nname: {'a' * 65}\n---\nYou.", "is not 1 to 64 letters"),
        ("---\nname: a\ntools: {a: b}\n---\nYou.", "neither a text with commas nor a list"),
        ("---\nname: a\ntools: [1]\n---\nYou.", "neither a text with commas nor a list"),
        ("---\nname: a\n---\n \n", "has no body"),
        (b"---\nname: a\n---\nYou \xff.", "not UTF-8"),
        (f"---\nname: a\n---\n{'x' * agent_definition.MAX_SIZE}", "larger than 102400 bytes"),
    ],
)
def test_a_definition_that_would_not_take_effect_is_refused_with_the_problem(
    tmp_path: Path, text: str | bytes, problem: str
) -> None:
    assert problem in refusal(tmp_path, text)


@pytest.mark.parametrize("name", ["missing.md", ".", "pipe", "a\0b"])
def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(LaunchRefused):
        agent_definition.read(name, str(tmp_path))
