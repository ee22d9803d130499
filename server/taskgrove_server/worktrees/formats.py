"""Formats of repositories that a git may be too old for."""

from __future__ import annotations

import re

#: What git says of extensions that it does not know, each on a line of its own, and of a version beyond its own.
_EXTENSIONS = re.compile(r"unknown repository extensions? found:\n((?:\s+\S+\n?)+)")
_VERSION = re.compile(r"Expected git repo version <= \d+, found \d+")

#: What extensions are for, and the first git that knows them; see extensions.* in git-config(1).
_KNOWN = {
    "refstorage": ("it keeps its refs as a reftable", "2.45"),
    "compatobjectformat": ("it names its objects by two hashes", "2.45"),
    "relativeworktrees": ("it links its worktrees by relative paths", "2.48"),
}


def too_new(words: str, version: str) -> str | None:
    """Returns why a git of this version cannot read a repository, going by its words; None if they do not say so."""
    if _VERSION.search(words):
        reasons = ["its format is a later one, which a newer git reads"]
    elif found := _EXTENSIONS.search(words):
        reasons = [_reason(name) for name in found[1].split()]
    else:
        return None
    return f"the server's git {version} is too old for it: {'; '.join(reasons)}."


def _reason(extension: str) -> str:
    if known := _KNOWN.get(extension):
        return f"{known[0]}, which git {known[1]} or newer reads"
    return f"it has the extension {extension!r}, which a newer git may read"
