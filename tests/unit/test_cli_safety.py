"""What an agent prints must not be able to control the terminal."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from taskgrove.cli.rendering import safety

_PIECES = st.sampled_from(
    ["\x1b", "[", "]", "0;", "m", "2J", "\x07", "\x1b\\", "\x9b", "\r", "\n", "\t", "a", "\u202e"]
)


@settings(deadline=None)  # A busy machine stalls single examples; the test's own timeout bounds them.
@given(st.one_of(st.text(), st.lists(_PIECES).map("".join)))
def test_nothing_that_a_terminal_obeys_is_left_of_any_text(text: str) -> None:
    shown = safety.plain(text)
    controls = [char for char in shown if unicodedata.category(char) in {"Cc", "Cs"} and char not in "\n\t"]
    assert not controls
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    shown.encode()


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m", "red"),
        ("\x1b]0;a new title\x07text", "text"),
        ("\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1bPq#0\x1b\\picture", "picture"),
        ("\x1b[2J\x1b[Hcleared", "cleared"),
        ("\x1bcreset", "reset"),
        ("\x1b(Bcharset", "charset"),
        ("windows\r\nline", "windows\nline"),
        ("10 %\r20 %", "10 %\n20 %"),
        ("bell\x07 back\x08", "bell␇ back␈"),
        ("delete\x7f", "delete␡"),
        ("eight bits \x9b31m", "eight bits �31m"),
        ("user\u202etxt.exe", "user�txt.exe"),
        ("half \ud800 a pair", "half � a pair"),
        ("zażółć 漢字 🌲 \u200fعربي", "zażółć 漢字 🌲 \u200fعربي"),
        ("tab\tand\nnewline", "tab\tand\nnewline"),
    ],
)
def test_sequences_go_and_their_text_stays(printed: str, shown: str) -> None:
    assert safety.plain(printed) == shown


def test_an_unterminated_sequence_hides_nothing_that_follows_it() -> None:
    assert safety.plain("\x1b]0;title and the rest") == "␛]0;title and the rest"


def test_a_sequence_that_removing_another_one_would_make_is_not_made() -> None:
    assert "\x1b" not in safety.plain("\x1b\x1b[0m[31m\x1b]\x1b[0m0;x\x07")
