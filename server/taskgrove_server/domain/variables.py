"""Names of environment variables, as settings list them."""

from __future__ import annotations

from collections.abc import Sequence


def match(name: str, patterns: Sequence[str]) -> bool:
    """Tells whether a name is among patterns, of which one that ends in `*` stands for all with that prefix."""
    return any(name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in patterns)
