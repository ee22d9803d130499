"""Writes docs/errors.md from the protos' comments: `make errors-page`; with tests on the path."""

from __future__ import annotations

import sys
from pathlib import Path

from support import documented_errors

PAGE = Path(__file__).parents[1] / "docs/errors.md"

HEAD = """\
# Errors

Made from the comments of the protos by `make errors-page`; edit those instead.

Each refused call carries a `google.rpc.Status` with a `google.rpc.ErrorInfo`, whose domain is `taskgrove.dev` and whose
reason is one of those below. The Python client has a class for each (`taskgrove.errors`). A task that fails is no error
of a call: read its state.
"""


def render() -> str:
    """Returns the page."""
    meanings = {reason.name: reason.meaning for reason in documented_errors.reasons()}
    parts = [HEAD]
    for service in documented_errors.services():
        parts.append(f"## {service.name}\n\nAny method: {_several(service.common)}.\n")
        for method, errors in service.methods.items():
            parts.append(f"### {method}\n")
            rows = [f"| `{code}` | {_link(reason)} | {_first(meanings[reason])} |" for code, reason in errors]
            parts.append("\n".join(["| code | reason | meaning |", "|---|---|---|", *rows]) + "\n")
    parts.append("## Reasons\n")
    parts += [f"### {reason.name}\n\n{reason.meaning}\n\n{reason.codes}\n" for reason in documented_errors.reasons()]
    return "\n".join(parts)


def _several(errors: list[tuple[str, str]]) -> str:
    return ", ".join(f"`{code}` ({_link(reason)})" for code, reason in errors)


def _link(reason: str) -> str:
    return f"[`{reason}`](#{reason.lower()})"


def _first(meaning: str) -> str:
    return f"{meaning.split('. ', maxsplit=1)[0].rstrip('.')}."


if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        fresh = PAGE.read_text(encoding="utf-8") == render()
        sys.exit(None if fresh else "docs/errors.md differs from the protos: run 'make errors-page'.")
    PAGE.write_text(render(), encoding="utf-8")
