"""What Claude Code's words about limits mean."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from taskgrove_server.agents import claude_limits

NOW = datetime(2026, 11, 25, 13, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    "words",
    [
        "You've hit your limit · resets 3pm",
        "You\u2019ve hit your session limit · resets 7am (UTC)",
        "You've hit your 5-hour limit",
        "You have reached your weekly limit.",
        "You've hit your monthly spend limit. See Usage in Settings",
        "You're out of extra usage · resets 3pm",
        "Claude AI usage limit reached|1893456000",
        "5-hour limit reached ∙ resets 3pm",
        "Opus weekly limit reached ∙ resets Oct 6, 1pm",
        "API Error: usage limit reached",
        "Claude usage limit reached. Your limit will reset at 9am (America/Chicago).",
        "You've used your weekly limit",
        "API Error: 400 You have reached your specified API usage limits.",
    ],
)
def test_words_that_tell_of_a_limit(words: str) -> None:
    assert claude_limits.are_meant(words)


@pytest.mark.parametrize(
    "words",
    [
        "",
        "I raised the limit.",
        "UserPromptSubmit operation blocked by hook:\nYou've hit your limit",
        "Unknown command",
    ],
)
def test_words_that_tell_of_none(words: str) -> None:
    assert not claude_limits.are_meant(words)


@pytest.mark.parametrize(
    ("words", "end"),
    [
        ("resets 3pm (UTC)", datetime(2026, 11, 25, 15, tzinfo=UTC)),
        ("resets 3:45 pm (UTC)", datetime(2026, 11, 25, 15, 45, tzinfo=UTC)),
        ("resets 3pm (Europe/Berlin)", datetime(2026, 11, 25, 14, tzinfo=UTC)),
        ("resets 7am (UTC)", datetime(2026, 11, 26, 7, tzinfo=UTC)),
        # Just passed, and cut to the hour.
        ("resets 1pm (UTC)", datetime(2026, 11, 25, 13, tzinfo=UTC)),
        ("resets at 12am (UTC)", datetime(2026, 11, 26, 0, tzinfo=UTC)),
        ("resets 12pm (UTC)", datetime(2026, 11, 26, 12, tzinfo=UTC)),
        ("resets Nov 28, 1pm (UTC)", datetime(2026, 11, 28, 13, tzinfo=UTC)),
        ("resets Jan 2 at 2am (UTC)", datetime(2027, 1, 2, 2, tzinfo=UTC)),
        ("resets Jan 2, 2028, 2am (UTC)", datetime(2028, 1, 2, 2, tzinfo=UTC)),
        ("Claude AI usage limit reached|1893456000", datetime(2030, 1, 1, tzinfo=UTC)),
        ("Your limit will reset at 9am (America/Chicago).", datetime(2026, 11, 25, 15, tzinfo=UTC)),
        ("You will regain access on 2027-01-01 at 00:00 UTC.", datetime(2027, 1, 1, tzinfo=UTC)),
        ("You will regain access on 2027-13-01 at 00:00 UTC.", None),
        ("resets tomorrow", None),
        ("resets 3pm (Nowhere/Land)", None),
        ("resets Foo 1, 3pm (UTC)", None),
        ("resets Feb 31, 3pm (UTC)", None),
        ("resets 3:99pm (UTC)", None),
        ("", None),
    ],
)
def test_the_end_of_a_limit(words: str, end: datetime | None) -> None:
    assert claude_limits.end(words, NOW) == end


@pytest.mark.parametrize(
    ("words", "of_model"),
    [
        ("Opus weekly limit reached ∙ resets Oct 6, 1pm", True),
        ("You've hit your Sonnet limit", True),
        ("You've hit your weekly limit · use Opus later", False),
        ("5-hour limit reached ∙ resets 3pm", False),
        ("I know the Opus limit.", False),
    ],
)
def test_the_limit_of_one_model(words: str, of_model: bool) -> None:
    assert claude_limits.are_of_model(words) == of_model


@pytest.mark.parametrize(
    ("name", "of_model"), [("seven_day_opus", True), ("seven_day_sonnet", True), ("five_hour", False), ("", False)]
)
def test_a_limit_is_named_for_a_model(name: str, of_model: bool) -> None:
    assert claude_limits.is_of_model(name) == of_model


def test_a_time_without_a_zone_is_that_of_the_machine() -> None:
    ends = claude_limits.end("You've hit your limit · resets 3pm", NOW)
    assert ends is not None
    assert (ends.astimezone().hour, ends.tzinfo) == (15, UTC)
