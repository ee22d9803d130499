"""What is put before a prompt so that Claude Code does not take it for a command."""

from __future__ import annotations

import pytest

from taskgrove_server.agents import claude_prompt


def content(prompt: str) -> str:
    message = claude_prompt.message(prompt)
    assert message["type"] == "user"
    assert message["message"]["role"] == "user"
    return str(message["message"]["content"])


@pytest.mark.parametrize(
    "prompt", ["/clear the cache", " /x", "\n\t/compact", "\ufeff/help", "\u200b/exit", "\uff0fx", "/"]
)
def test_what_begins_with_a_slash_gets_a_line_before_it(prompt: str) -> None:
    assert content(prompt) == f"The user writes:\n\n{prompt}"


@pytest.mark.parametrize(
    "prompt", ["Fix /etc/hosts", "a/b", "!ls", "#1", "@file", "1/2", "", "  ", "Grüße", "- /clear"]
)
def test_everything_else_goes_as_it_is(prompt: str) -> None:
    assert content(prompt) == prompt
