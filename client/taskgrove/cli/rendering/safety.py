"""Makes text that an agent wrote harmless to a terminal.

A terminal obeys what is printed on it: titles, the clipboard, cursor moves that overwrite earlier text, answers
typed into the shell. Nothing that an agent wrote, or a server sent, is printed on one before it went through `plain`
or `visible`.
"""

from __future__ import annotations

import re

#: Sequences that an honest program prints for colour and the like; they are dropped, and their text stays. An
#: unterminated one is not matched whole: its first byte is then shown by `_CONTROLS`, and hides nothing.
_SEQUENCES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor
    r"|\x1b[\]PX^_][^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # OSC, DCS, SOS, PM, APC: titles, links, clipboard
    r"|\x1b[ -/]*[0-OQ-WYZ\\`-~]"  # two-character ones, except what starts a string
)

#: What is left of control characters, the ones that reorder text on the screen, and lone surrogates, which no
#: encoding can print.
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def plain(text: str) -> str:
    """Returns the text with nothing in it that a terminal would obey, except newlines and tabs."""
    if not _CONTROLS.search(text):
        return text
    text = _SEQUENCES.sub("", text).replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub(_shown, text)


def visible(text: str) -> str:
    """Returns the text with a picture for everything in it that a terminal would obey, except newlines and tabs.

    Nothing is dropped: who reviews a file must see what it contains.
    """
    return _CONTROLS.sub(_shown, text)


def _shown(match: re.Match[str]) -> str:
    """Returns the picture of a control character: U+241B for escape, U+FFFD for what has none."""
    code = ord(match[0])
    if code < 0x20:
        return chr(0x2400 + code)
    return "\u2421" if code == 0x7F else "\ufffd"
